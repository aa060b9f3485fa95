/**
 * Dates in headers, in the three forms that a recipient must accept (RFC 9110, 5.6.7). `Date.parse` would take one of them for
 * local time, and all kinds of other text for a date.
 */

const TIME = '(\\d\\d):(\\d\\d):(\\d\\d)';
/** Sun, 06 Nov 1994 08:49:37 GMT */
const FIXED = new RegExp(`^[A-Z][a-z]{2}, (\\d\\d) ([A-Z][a-z]{2}) (\\d{4}) ${TIME} GMT$`);
/** Sunday, 06-Nov-94 08:49:37 GMT */
const OF_RFC_850 = new RegExp(`^[A-Z][a-z]{2,5}day, (\\d\\d)-([A-Z][a-z]{2})-(\\d\\d) ${TIME} GMT$`);
/** Sun Nov  6 08:49:37 1994 */
const OF_ASCTIME = new RegExp(`^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \\d]\\d) ${TIME} (\\d{4})$`);
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** Milliseconds since 1970 of a date in a header; undefined if it is none. `now` tells the century of a year of two digits. */
export function parseHttpDate(header: string | null, now: number = Date.now()): number | undefined {
  const text = header?.trim() ?? '';
  let match = FIXED.exec(text);
  if (match !== null) return timeOf(match[3], match[2], match[1], match.slice(4));
  match = OF_RFC_850.exec(text);
  if (match !== null) return timeOf(fullYear(Number(match[3]), now), match[2], match[1], match.slice(4));
  match = OF_ASCTIME.exec(text);
  if (match !== null) return timeOf(match[6], match[1], match[2], match.slice(3, 6));
  return undefined;
}

/** More than 50 years ahead is the past. */
function fullYear(lastDigits: number, now: number): number {
  const thisYear = new Date(now).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + lastDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

function timeOf(
  year: string | number | undefined,
  monthName: string | undefined,
  dayOfMonth: string | undefined,
  time: readonly string[],
): number | undefined {
  const month = MONTHS.indexOf(monthName ?? '');
  const day = Number(dayOfMonth);
  const [hour = 0, minute = 0, second = 0] = time.map(Number);
  // A leap second is allowed, and is the second after.
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  // Not Date.UTC, which takes the years up to 99 for those of the last century.
  const date = new Date(0);
  date.setUTCFullYear(Number(year), month, day);
  return date.getUTCDate() === day ? date.setUTCHours(hour, minute, second) : undefined;
}
