/** What bodies are made of: JSON as lines and as arrays, events, tags, ranges, cursors. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toBase64 } from '../../../packages/server/src/http/base64.ts';
import { concat } from '../../../packages/server/src/http/concat.ts';
import type { EventEncoding } from '../../../packages/server/src/http/content-type.ts';
import { continues, formatTag, isNoneMatch, parseTag } from '../../../packages/server/src/http/etag.ts';
import { eventData } from '../../../packages/server/src/http/event-data.ts';
import { JsonArray } from '../../../packages/server/src/http/json-array.ts';
import { skipLines, toJsonLines } from '../../../packages/server/src/http/json-messages.ts';
import { isJsonText } from '../../../packages/server/src/http/json-text.ts';
import { currentCursor, nextCursor, parseCursor } from '../../../packages/server/src/http/live-cursor.ts';
import { parseRange } from '../../../packages/server/src/http/range.ts';
import { Refusal } from '../../../packages/server/src/http/refusal.ts';
import { sseEvent } from '../../../packages/server/src/http/sse-event.ts';
import type { StreamState } from '../../../packages/server/src/index.ts';
import { randomSeed } from '../../support/seed.ts';

const wellFormed = (string: string): string => string.replace(/\p{Surrogate}/gu, '\ufffd');
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);
/** Cuts bytes at any places. */
function cut(data: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => Math.floor(place * data.length)).sort((a, b) => a - b), data.length];
  return at.slice(1).map((to, i) => data.subarray(at[i], to));
}
const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });

describe('JSON as lines', () => {
  test.each([
    ['{"a":1}', '{"a":1}\n'],
    [' \r\n{"a":\r\n1} \t\n', '{"a":  1}\n'],
    ['[]', ''],
    [' [ ] ', ''],
    ['[1,2]', '1\n2\n'],
    ['[ 1 ,\n2\r\n, "x" ]', '1\n2\n"x"\n'],
    ['[[1,2],[3]]', '[1,2]\n[3]\n'],
    ['[[]]', '[]\n'],
    ['[[[1,2,3]]]', '[[1,2,3]]\n'],
    ['[{"a":[1,{"b":"],}"}]},null]', '{"a":[1,{"b":"],}"}]}\nnull\n'],
    ['["a,b","]","[","\\"]","\\\\",","]', '"a,b"\n"]"\n"["\n"\\"]"\n"\\\\"\n","\n'],
    ['["\\\\\\"",1]', '"\\\\\\""\n1\n'],
    ['123456789012345678901234567890', '123456789012345678901234567890\n'],
    ['[1.0,1e400,-0,0.10]', '1.0\n1e400\n-0\n0.10\n'],
    ['{"b":1,"a":2,"b":3}', '{"b":1,"a":2,"b":3}\n'],
    ['"\\u2028\\ud800"', '"\\u2028\\ud800"\n'],
    ['\ufeff[1]', '1\n'],
    ['\ufeff7', '7\n'],
    ['"é€😀"', '"é€😀"\n'],
  ])('%j', (body, lines) => expect(text(toJsonLines(bytes(body)))).toBe(lines));

  test.each(['', ' ', '{', '[1,]', '[1', '1 2', "{'a':1}", 'undefined', 'NaN', '[1]]', '"\n"', '01', '{"a":1}{"b":2}'])(
    '%j is refused',
    (body) => expect(() => toJsonLines(bytes(body))).toThrow(Refusal),
  );

  test('what is no UTF-8 is refused', () => {
    for (const wrong of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc3, 0x22],
      [0xed, 0xa0, 0x80],
    ]) {
      expect(() => toJsonLines(new Uint8Array(wrong))).toThrow(Refusal);
    }
    expect(text(toJsonLines(bytes('1')))).toBe('1\n');
  });

  test('what JSON.parse takes in UTF-8, and nothing else, is JSON', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const isJson = (data: Uint8Array): boolean => {
      try {
        JSON.parse(decoder.decode(data));
        return true;
      } catch {
        return false;
      }
    };
    const pieces = [
      ...'{}[],:"\\.eE+-0 \n\t\r\f\0é\u00a0\ufeff\u2028',
      'true',
      'nul',
      'null',
      '12',
      '-0',
      '01',
      '"a"',
      '"k":',
      '\\u12',
    ];
    pieces.push('"\\u00e9"', '"\\x"', '{"a":1}', '[1,2]', 'NaN', "'");
    const anything = fc
      .array(
        fc.oneof(
          fc.constantFrom(...pieces).map(bytes),
          fc.constantFrom(0x80, 0xc3, 0xff).map((byte) => new Uint8Array([byte])),
        ),
        { maxLength: 8 },
      )
      .map((parts) => concat(parts));
    // A text that is nearly one: cut short, or with one byte changed.
    const nearly = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom(...bytes('{}[],:"\\0.e-+u \0'), 0x80, 0xff), fc.boolean())
      .map(([json, at, byte, isCut]) => {
        const data = bytes(json);
        if (isCut) return data.slice(0, at % (data.length + 1));
        data[at % data.length] = byte;
        return data;
      });
    fc.assert(
      fc.property(fc.oneof(anything, nearly, fc.json().map(bytes)), (data) => {
        expect(isJsonText(data)).toBe(isJson(data));
      }),
      { seed: randomSeed(), numRuns: 5000 },
    );
  });

  test.each<[string, (size: number) => string]>([
    ['arrays in arrays', (size) => '['.repeat(size / 2) + ']'.repeat(size / 2)],
    ['objects in objects', (size) => `${'{"":'.repeat(size / 5)}1${'}'.repeat(size / 5)}`],
    ['many small ones', (size) => `[${'{},'.repeat(size / 3)}{}]`],
  ])('a body made to cost much (%s) takes no memory but its own bytes', (_, make) => {
    const data = bytes(make(6_000_000));
    const before = process.memoryUsage().heapUsed;
    expect(isJsonText(data)).toBe(true);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(16_000_000);
  });

  test('deep nesting is no trouble', () => {
    const depth = 50_000;
    expect(toJsonLines(bytes('['.repeat(depth) + ']'.repeat(depth)))).toHaveLength(2 * depth - 1);
  });

  test('any value comes back, one level flattened, in any layout, and keeps no more memory than it needs', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, '\t', 2, '\r'), (value, space) => {
        const layout = JSON.stringify(value, null, space as string);
        const lines = toJsonLines(bytes(layout));
        expect(lines.buffer.byteLength - lines.length).toBeLessThanOrEqual(64);
        const shown = text(lines);
        expect(shown === '' || shown.endsWith('\n')).toBe(true);
        const messages = shown.split('\n').slice(0, -1);
        expect(messages.map((line) => JSON.parse(line))).toEqual(
          JSON.parse(JSON.stringify(Array.isArray(value) ? value : [value])),
        );
      }),
      { seed: randomSeed(), numRuns: 500 },
    );
  });

  test('lines are counted', () => {
    const lines = bytes('1\n22\n333\n');
    expect(skipLines(lines, 0)).toEqual({ length: 0, missing: 0 });
    expect(skipLines(lines, 2)).toEqual({ length: 5, missing: 0 });
    expect(skipLines(lines, 3)).toEqual({ length: 9, missing: 0 });
    expect(skipLines(lines, 5)).toEqual({ length: 9, missing: 2 });
    expect(skipLines(bytes('1\n2'), 2)).toEqual({ length: 2, missing: 1 });
  });
});

describe('lines as an array', () => {
  test('however they are cut, they make the array that was foreseen', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 6 }), places, (values, at) => {
        const lines = bytes(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
        const array = new JsonArray();
        const whole = concat([...cut(lines, at).map((piece) => array.push(piece)), array.end()]);
        expect(text(whole)).toBe(`[${values.map((value) => JSON.stringify(value)).join(',')}]`);
        expect(whole).toHaveLength(JsonArray.length(lines.length));
      }),
      { seed: randomSeed(), numRuns: 500 },
    );
  });
});

describe('base64', () => {
  test('is what the platform makes of it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
        expect(text(toBase64(data))).toBe(Buffer.from(data).toString('base64'));
      }),
      { seed: randomSeed() },
    );
  });
});

/** What a reader of events makes of lines of data. */
function read(lines: Uint8Array | undefined): string {
  if (lines === undefined) return '';
  const all = text(lines).split('\n');
  expect(all.pop()).toBe('');
  return all
    .map((line) => {
      expect(line.startsWith('data:')).toBe(true);
      expect(line).not.toContain('\r');
      return line.slice(line[5] === ' ' ? 6 : 5);
    })
    .join('\n');
}

/** Shows pieces and reads them. */
function show(encoding: EventEncoding, pieces: readonly Uint8Array[]): string[] {
  const data = eventData(encoding);
  const shown = pieces.map((piece) => read(data.push([piece])));
  shown.push(read(data.end()));
  expect(data.held).toBe(0);
  return shown;
}

describe('data of events', () => {
  test('every kind of line end makes a line, and no content makes an event', () => {
    expect(show('text', [bytes('a\nb\rc\r\nd\n\ne\r\rf\r\n\r\ng')]).join('')).toBe('a\nb\nc\nd\n\ne\n\nf\n\ng');
    expect(text(eventData('text').push([bytes('x\n\nevent: control\ndata: {}\n\n')]))).toBe(
      'data:x\ndata:\ndata:event: control\ndata:data: {}\ndata:\ndata:\n',
    );
    expect(show('text', [bytes(' a\n  b\n:c')]).join('')).toBe(' a\n  b\n:c');
  });

  test('blind spot 3: a character cut over two appends survives', () => {
    const euro = bytes('a€b');
    expect(show('text', [euro.subarray(0, 2), euro.subarray(2, 3), euro.subarray(3)])).toEqual(['a', '', '€b', '']);
    const data = eventData('text');
    data.push([bytes('😀').subarray(0, 3)]);
    expect(data.held).toBe(3);
    expect(read(data.end())).toBe('\ufffd');
  });

  test('text of any characters, cut anywhere, comes as it was, but for its line ends', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), places, fc.boolean(), (string, at, withReturns) => {
        const whole = wellFormed(withReturns ? string.replace(/[a-m]/g, '\r').replace(/[n-z]/g, '\n') : string);
        expect(show('text', cut(bytes(whole), at)).join('')).toBe(whole.replace(/\r\n|\r/g, '\n'));
      }),
      { seed: randomSeed(), numRuns: 1000 },
    );
  });

  test('bytes that are no UTF-8 are shown as replacement characters, and hold nothing up', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), places, (data, at) => {
        const shown = show('text', cut(data, at)).join('');
        const expected = new TextDecoder('utf-8', { ignoreBOM: true }).decode(data).replace(/\r\n|\r/g, '\n');
        expect(shown.replace(/\ufffd+/g, '\ufffd')).toBe(expected.replace(/\ufffd+/g, '\ufffd'));
      }),
      { seed: randomSeed(), numRuns: 1000 },
    );
    const data = eventData('text');
    for (const wrong of [[0xff], [0x80, 0x80, 0x80], [0xf8, 0x80], [0x61, 0xc3, 0x28]]) {
      expect(data.push([new Uint8Array(wrong)])).toBeDefined();
      expect(data.held).toBe(0);
    }
  });

  test('messages are shown whole, each event an array', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 6 }), places, (values, at) => {
        const lines = bytes(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
        const shown = show('json', cut(lines, at)).filter((event) => event !== '');
        expect(shown.flatMap((event) => JSON.parse(event) as unknown[])).toEqual(JSON.parse(JSON.stringify(values)));
      }),
      { seed: randomSeed(), numRuns: 500 },
    );
    const data = eventData('json');
    expect(data.push([bytes('1\n2')])).toEqual(bytes('data:[1]\n'));
    expect(data.held).toBe(1);
    expect(data.push([bytes('2'), bytes('2')])).toBeUndefined();
    expect(data.push([bytes('\n3\n'), bytes('4')])).toEqual(bytes('data:[222,3]\n'));
    expect(data.held).toBe(1);
  });

  test('bytes are shown at once', () => {
    const data = eventData('base64');
    expect(read(data.push([new Uint8Array([1, 2]), new Uint8Array([3, 4])]))).toBe('AQIDBA==');
    expect(data.held).toBe(0);
    expect(data.push([])).toBeUndefined();
  });

  test('an event and its control', () => {
    const control = { next: 'T', cursor: 7, isUpToDate: true, end: undefined };
    expect(text(sseEvent(bytes('data:x\n'), control))).toBe(
      'id:T\nevent: data\ndata:x\n\nevent: control\ndata:{"streamNextOffset":"T","streamCursor":"7","upToDate":true}\n\n',
    );
    expect(text(sseEvent(undefined, { ...control, end: { kind: 'closed' } }))).toBe(
      'id:T\nevent: control\ndata:{"streamNextOffset":"T","upToDate":true,"streamClosed":true}\n\n',
    );
    expect(text(sseEvent(undefined, { ...control, isUpToDate: false, end: { kind: 'failed', reason: 'a\nb' } }))).toBe(
      'id:T\nevent: control\ndata:{"streamNextOffset":"T","streamCursor":"7","streamError":"a\\nb"}\n\n',
    );
  });
});

const state = { generation: 4, tail: 100 } as StreamState;

describe('entity tags', () => {
  test('change with what they name, and with the end', () => {
    const tags = [
      formatTag(state, 0, 9),
      formatTag(state, 0, 9, { kind: 'closed' }),
      formatTag(state, 0, 9, { kind: 'failed', reason: '' }),
      formatTag(state, 1, 9),
      formatTag(state, 0, 10),
      formatTag({ generation: 5 }, 0, 9),
    ];
    expect(new Set(tags).size).toBe(tags.length);
    expect(parseTag(tags[1] as string)).toEqual({ generation: 4, from: 0, to: 9 });
  });

  test.each([
    ['"a"', '"a"', true],
    ['*', '"a"', true],
    ['"b", "a"', '"a"', true],
    ['W/"a"', '"a"', true],
    ['"b",W/"a" , "c"', '"a"', true],
    ['"a,b"', '"a"', false],
    ['a', '"a"', false],
    ['', '"a"', false],
    ['"x" "a"', '"a"', false],
    [undefined, '"a"', false],
  ])('If-None-Match %j of %s: %s', (header, tag, isMatch) => expect(isNoneMatch(header, tag)).toBe(isMatch));

  test('If-Range holds for bytes that the stream still begins with', () => {
    expect(continues('"4:0:50"', state)).toBe(true);
    expect(continues('"4:0:100:c"', state)).toBe(true);
    expect(continues('"4:0:101"', state)).toBe(false);
    expect(continues('"3:0:50"', state)).toBe(false);
    expect(continues('"4:10:50"', state)).toBe(false);
    expect(continues('W/"4:0:50"', state)).toBe(false);
    expect(continues('Tue, 01 Jan 2030 00:00:00 GMT', state)).toBe(false);
  });
});

describe('ranges', () => {
  test.each([
    ['bytes=0-', 0, 100],
    ['bytes=99-', 99, 100],
    ['bytes=10-19', 10, 20],
    ['bytes=10-1000', 10, 100],
    ['bytes=-10', 90, 100],
    ['bytes=-1000', 0, 100],
    ['Bytes = 0 - 0', 0, 1],
    [`bytes=5-1${'0'.repeat(30)}`, 5, 100],
  ])('%s', (header, from, to) => expect(parseRange(header, 100)).toEqual({ from, to }));

  test.each(['bytes=100-', 'bytes=100-200', 'bytes=-0', `bytes=1${'0'.repeat(30)}-`])('%s has no byte', (header) =>
    expect(parseRange(header, 100)).toBe('unsatisfiable'),
  );
  test('nothing has no ranges', () => {
    expect(parseRange('bytes=0-', 0)).toBe('unsatisfiable');
    expect(parseRange('bytes=-5', 0)).toBe('unsatisfiable');
  });

  test.each([
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=5-2',
    'bytes=0-1,3-4',
    `bytes=${'0-1,'.repeat(1000)}2-3`,
    'bytes=a-b',
    'bytes=+1-2',
    'bytes=1-2x',
    'items=0-1',
    'bytes=0x1-2',
    'bytes 0-1',
  ])('%s is passed over', (header) => expect(parseRange(header, 100)).toBeUndefined());
});

describe('cursors', () => {
  const now = Date.UTC(2024, 9, 9) + 1000 * 20_000 + 5;
  test('count intervals of 20 s', () => {
    expect(currentCursor(Date.UTC(2024, 9, 9))).toBe(0);
    expect(currentCursor(now)).toBe(1000);
    expect(currentCursor(0)).toBe(0);
  });
  test('are beyond what the client has', () => {
    expect(nextCursor(now, undefined, () => 0)).toBe(1000);
    expect(nextCursor(now, 999, () => 0)).toBe(1000);
    expect(nextCursor(now, 1000, () => 0)).toBe(1001);
    expect(nextCursor(now, 1000, () => 0.999)).toBe(1180);
    expect(nextCursor(now, 5000, () => 0.5)).toBe(5091);
  });
  test('are read strictly', () => {
    expect(parseCursor(undefined)).toBeUndefined();
    expect(parseCursor('')).toBeUndefined();
    expect(parseCursor('17')).toBe(17);
    for (const wrong of ['-1', '1.5', 'x', '1'.repeat(16)]) expect(() => parseCursor(wrong), wrong).toThrow(Refusal);
  });
});
