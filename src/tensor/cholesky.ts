// Triangular factors of a symmetric positive definite matrix, in double precision, four rows at a time
// so that what is loaded is used four times. Golub & Van Loan, Matrix Computations, section 4.2.

/**
 * H = U D U^T with U unit upper triangular; puts U^T, row by row, into `into`, both [size, size];
 * false where H is not positive definite. Takes the factor L of the matrix read from its end:
 * J H J = L L^T, and U = J L diag(L)^-1 J.
 */
export function unitUpperFactor(matrix: Float64Array, size: number, into: Float64Array): boolean {
  const lower = new Float64Array(size * size);
  const last = size * size - 1;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) lower[i * size + j] = matrix[last - i * size - j] as number;
  }
  if (!factorInPlace(lower, size)) return false;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      into[last - j * size - i] = (lower[i * size + j] as number) / (lower[j * size + j] as number);
    }
  }
  return true;
}

/** L in the place of the lower half of a matrix; false where it is not positive definite. */
export function factorInPlace(a: Float64Array, size: number): boolean {
  for (let i = 0; i < size; i += 4) {
    const rows = Math.min(4, size - i);
    if (rows === 4) solveFour(a, size, i);
    else for (let r = i; r < size; r++) solveRow(a, size, r, 0, i);
    for (let r = i; r < i + rows; r++) {
      solveRow(a, size, r, i, r);
      let square = a[r * size + r] as number;
      for (let k = r * size; k < r * size + r; k++) square -= (a[k] as number) ** 2;
      if (!(square > 0)) return false;
      a[r * size + r] = Math.sqrt(square);
    }
  }
  return true;
}

/** Elements `from` … `to` of row r: (a - the product with the row of each) / its diagonal. */
function solveRow(a: Float64Array, size: number, r: number, from: number, to: number): void {
  for (let j = from; j < to; j++) {
    let sum = a[r * size + j] as number;
    for (let k = 0; k < j; k++) sum -= (a[r * size + k] as number) * (a[j * size + k] as number);
    a[r * size + j] = sum / (a[j * size + j] as number);
  }
}

/** The same for rows i … i + 3 up to element i. */
function solveFour(a: Float64Array, size: number, i: number): void {
  const [r0, r1, r2, r3] = [i * size, (i + 1) * size, (i + 2) * size, (i + 3) * size];
  for (let j = 0; j < i; j++) {
    const row = j * size;
    let s0 = a[r0 + j] as number;
    let s1 = a[r1 + j] as number;
    let s2 = a[r2 + j] as number;
    let s3 = a[r3 + j] as number;
    for (let k = 0; k < j; k++) {
      const l = a[row + k] as number;
      s0 -= (a[r0 + k] as number) * l;
      s1 -= (a[r1 + k] as number) * l;
      s2 -= (a[r2 + k] as number) * l;
      s3 -= (a[r3 + k] as number) * l;
    }
    const inverse = 1 / (a[row + j] as number);
    a[r0 + j] = s0 * inverse;
    a[r1 + j] = s1 * inverse;
    a[r2 + j] = s2 * inverse;
    a[r3 + j] = s3 * inverse;
  }
}
