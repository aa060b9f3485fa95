/** As much of Markdown as the checks of the documents need: code blocks, links and headings. */

export interface CodeBlock {
  /** Line of the opening fence, from 1. */
  readonly line: number;
  /** What stands behind the backticks: the language and what follows. */
  readonly info: string;
  readonly code: string;
}

/** The fenced code blocks. */
export function codeBlocksIn(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: { line: number; fence: string; info: string; code: string[] } | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    const fence = /^\s*(`{3,})(.*)$/.exec(text);
    if (open === undefined) {
      if (fence !== null)
        open = { line: index + 1, fence: fence[1] as string, info: (fence[2] as string).trim(), code: [] };
    } else if (text.trim() === open.fence) {
      blocks.push({ line: open.line, info: open.info, code: `${open.code.join('\n')}\n` });
      open = undefined;
    } else {
      open.code.push(text);
    }
  }
  if (open !== undefined) throw new Error(`The code block of line ${open.line} has no end`);
  return blocks;
}

/** The text without code blocks and inline code; lines stay where they are. */
export function proseOf(markdown: string): string {
  return markdown
    .replace(/^\s*(`{3,})[^\n]*\n[\s\S]*?^\s*\1[ \t]*$/gm, (block) => block.replace(/[^\n]/g, ''))
    .replace(/`[^`\n]*`/g, (code) => '`'.repeat(code.length));
}

/** Targets of links and images. */
export function linksIn(markdown: string): { line: number; target: string }[] {
  return proseOf(markdown)
    .split('\n')
    .flatMap((text, index) => {
      const inline = [...text.matchAll(/\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g)];
      const html = [...text.matchAll(/\b(?:src|srcset|href)="([^"]+)"/g)];
      return [...inline, ...html].map(([, target]) => ({ line: index + 1, target: target as string }));
    });
}

/** The anchors that GitHub gives to the headings. */
export function anchorsIn(markdown: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  const lines = markdown.replace(/^\s*(`{3,})[^\n]*\n[\s\S]*?^\s*\1[ \t]*$/gm, '');
  for (const [, heading] of lines.matchAll(/^#{1,6}\s+(.+?)\s*$/gm)) {
    const slug = (heading as string)
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return anchors;
}
