// What every kind of table offers: named columns and, row by row, their cells.

export interface Row {
  /** File and line or row, for messages. */
  readonly where: string;
  /** One for each column of the table; a reader may leave out those that nobody wants. */
  readonly cells: readonly unknown[];
}

export interface TableReader {
  readonly columns: readonly string[];
  /** All rows, once, with the cells of the columns at these positions. */
  rows(wanted: readonly number[]): AsyncIterable<Row>;
}
