// Apache Parquet, one row group at a time, and of it only the columns that are wanted.

import type { FileMetaData } from 'hyparquet';
import { brokenFile } from '../errors/data.ts';
import type { Row, TableReader } from './table-reader.ts';

export async function openParquet(path: string): Promise<TableReader> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetSchema } = await import('hyparquet');
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file).catch((error) => {
    throw brokenFile(path, `this is not a Parquet file: ${(error as Error).message}`);
  });
  const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
  return {
    columns,
    async *rows(wanted) {
      let start = 0;
      for (const { num_rows } of metadata.row_groups) {
        const end = start + Number(num_rows);
        const names = wanted.map((index) => columns[index] as string);
        const found = await readRows(path, file, metadata, names, [start, end]);
        for (const [i, record] of found.entries()) yield rowOf(path, start + i, columns, record);
        start = end;
      }
    },
  };
}

async function readRows(
  path: string,
  file: Awaited<ReturnType<typeof import('hyparquet').asyncBufferFromFile>>,
  metadata: FileMetaData,
  columns: string[],
  [rowStart, rowEnd]: readonly [number, number],
): Promise<Record<string, unknown>[]> {
  const { parquetReadObjects } = await import('hyparquet');
  const { compressors } = await import('hyparquet-compressors');
  try {
    return await parquetReadObjects({ file, metadata, columns, rowStart, rowEnd, compressors });
  } catch (error) {
    const where = `${path}: rows ${rowStart + 1} to ${rowEnd}`;
    throw brokenFile(where, `the rows cannot be read: ${(error as Error).message}`);
  }
}

function rowOf(
  path: string,
  index: number,
  columns: readonly string[],
  record: Record<string, unknown>,
): Row {
  return { where: `${path}: row ${index + 1}`, cells: columns.map((name) => record[name]) };
}
