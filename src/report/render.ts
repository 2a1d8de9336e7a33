// Turns a report and its blocks into text for the terminal, Markdown or one HTML page.

import { Chalk } from 'chalk';
import type { Block, Cell, Column, Report, Table } from './report.ts';
import { formatNumber } from './report.ts';

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');

export function renderText(blocks: readonly Block[], color: boolean): string {
  const chalk = new Chalk({ level: color ? 1 : 0 });
  const parts = blocks.map((block) => {
    if ('text' in block) return block.text;
    if ('facts' in block) {
      const width = Math.max(...block.facts.map(([name]) => name.length));
      const lines = block.facts.map(
        ([name, cell]) => `${chalk.dim(name.padEnd(width))}  ${printCell(cell)}`,
      );
      return [...(block.title ? [chalk.bold(block.title)] : []), ...lines].join('\n');
    }
    return textTable(block, chalk);
  });
  return `${parts.join('\n\n')}\n`;
}

export function renderMarkdown(report: Report, blocks: readonly Block[]): string {
  const parts = blocks.map((block) => {
    if ('text' in block) return block.text;
    const table: Table =
      'facts' in block
        ? {
            ...(block.title ? { title: block.title } : {}),
            columns: [{ name: '' }, { name: '' }],
            rows: block.facts,
          }
        : block;
    return markdownTable(table);
  });
  return `# xform ${report.command}\n\n${parts.join('\n\n')}\n${warningList(report)}`;
}

export function renderHtml(report: Report, blocks: readonly Block[]): string {
  const body = blocks.map((block) => {
    if ('text' in block) return `<pre>${escapeHtml(block.text)}</pre>`;
    return 'facts' in block
      ? htmlTable({ ...block, columns: [{ name: '' }, { name: '' }], rows: block.facts })
      : htmlTable(block);
  });
  const warnings = report.warnings.map(
    (w) => `<li>${escapeHtml(w.where ? `${w.where}: ${w.message}` : w.message)}</li>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>xform ${escapeHtml(report.command)}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .75rem; border-bottom: 1px solid #ddd; text-align: left; }
td.right, th.right { text-align: right; font-variant-numeric: tabular-nums; } caption { text-align: left; font-weight: 600; }
pre { white-space: pre-wrap; } .warnings { color: #8a4b00; } details { margin-top: 2rem; }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } th, td { border-color: #444; } .warnings { color: #ffb454; } }
</style></head><body>
<h1>xform ${escapeHtml(report.command)}</h1>
${body.join('\n')}
${warnings.length ? `<h2>Warnings</h2><ul class="warnings">${warnings.join('')}</ul>` : ''}
<details><summary>The whole report as JSON</summary><pre>${escapeHtml(JSON.stringify(report, null, 2))}</pre></details>
</body></html>
`;
}

function textTable(table: Table, chalk: InstanceType<typeof Chalk>): string {
  const cells = table.rows.map((row) => row.map(printCell));
  const widths = table.columns.map((column, i) =>
    Math.max(column.name.length, ...cells.map((row) => visibleWidth(row[i] ?? ''))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => pad(cell, widths[i] ?? 0, isRight(table, i)))
      .join('  ')
      .trimEnd();
  return [
    ...(table.title ? [chalk.bold(table.title)] : []),
    chalk.dim(line(table.columns.map((column) => column.name))),
    ...cells.map(line),
  ].join('\n');
}

function markdownTable(table: Table): string {
  const row = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [
    ...(table.title ? [`### ${table.title}`, ''] : []),
    row(table.columns.map((column) => column.name)),
    row(table.columns.map((_, i) => (isRight(table, i) ? '---:' : '---'))),
    ...table.rows.map((cells) => row(cells.map(printCell))),
  ].join('\n');
}

function htmlTable(table: Table): string {
  const tag = (name: string, cells: readonly Cell[]) =>
    cells
      .map((cell, i) => {
        const css = isRight(table, i) ? ' class="right"' : '';
        return `<${name}${css}>${escapeHtml(printCell(cell))}</${name}>`;
      })
      .join('');
  const head = tag(
    'th',
    table.columns.map((column: Column) => column.name),
  );
  const rows = table.rows.map((row) => `<tr>${tag('td', row)}</tr>`).join('\n');
  const caption = table.title ? `<caption>${escapeHtml(table.title)}</caption>` : '';
  return `<table>${caption}<thead><tr>${head}</tr></thead><tbody>\n${rows}\n</tbody></table>`;
}

function warningList(report: Report): string {
  if (report.warnings.length === 0) return '';
  const lines = report.warnings.map((w) => `- ${w.where ? `${w.where}: ` : ''}${w.message}`);
  return `\n## Warnings\n\n${lines.join('\n')}\n`;
}

function isRight(table: Table, column: number): boolean {
  return table.columns[column]?.align === 'right';
}

function printCell(cell: Cell): string {
  return typeof cell === 'number' ? formatNumber(cell) : cell;
}

function visibleWidth(text: string): number {
  return text.replace(ANSI, '').length;
}

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - visibleWidth(text)));
  return right ? space + text : text + space;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
