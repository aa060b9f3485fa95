import { bytesFigure, figure, textTable } from './cases.mjs';

const amount = (unit, value) =>
  unit === 'bytes' ? bytesFigure(value) : `${value >= 0.995 && value < 1.1 ? value.toFixed(3) : figure(value)}x`;

export const goalText = ({ better, unit, goal }) =>
  `${better === 'more' ? '≥' : '≤'} ${unit === 'bytes' ? bytesFigure(goal) : `${goal}x`}`;
export const measuredText = ({ unit, value }) => amount(unit, value);

/** The goals as a table for a terminal. */
export function printGoals(rows) {
  const lines = rows.map((row) => [
    row.text.replaceAll('`', ''),
    goalText(row),
    measuredText(row),
    row.pass ? 'pass' : 'MISS',
    row.against
      ? `${figure(row.ours)} : ${figure(row.theirs)} ${row.against}`
      : row.ours
        ? `${figure(row.ours)} : ${figure(row.theirs)}`
        : '',
  ]);
  const missed = rows.filter((row) => !row.pass).length;
  return `${textTable(['', 'goal', 'measured', '', 'ours : theirs'], lines)}\n${rows.length - missed} of ${rows.length} goals reached\n`;
}
