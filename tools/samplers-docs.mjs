// The table and the plot of docs/samplers.md, from the results of `sgdiff evaluate-samplers`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import * as vega from 'vega';

const BEGIN = '<!-- measured by `npm run bench:samplers`, which replaces everything up to the next mark -->';
const END = '<!-- end of what is measured -->';

const MEASURES = [
  { field: 'relation', title: 'Relations drawn', yardstick: ({ ceiling }) => ceiling.relation, of: 'true renders' },
  { field: 'entity', title: 'Objects drawn', yardstick: ({ ceiling }) => ceiling.entity, of: 'true renders' },
  {
    field: 'frechet',
    title: 'Fréchet distance',
    yardstick: (of) => of.frechetOfOtherGraphs,
    of: 'true renders of other graphs',
  },
];

/** The samplers whose steps draw noise: their lines are broken. */
const NOISY = /^ddpm|ancestral|sde|^lcm/;

/** Puts what was measured between the marks of a document. @throws Error if it has no such marks. */
export function replaceMeasured(document, markdown) {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin)
    throw new Error(`expected the lines "${BEGIN}" and "${END}". Put them where the table is to go.`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${markdown.trim()}\n\n${document.slice(end)}`;
}

/** What was measured, as Markdown: how, the plot, and a table of each measure with a row per sampler and a column per number of steps. */
export function samplersMarkdown({ protocol, yardsticks, cells }, image) {
  const steps = [...new Set(cells.map((cell) => cell.steps))].sort((a, b) => a - b);
  const samplers = [...new Set(cells.map((cell) => cell.sampler))];
  const cellOf = (sampler, each) => cells.find((cell) => cell.sampler === sampler && cell.steps === each);
  const lines = [
    `Model \`${protocol.model.name}\` (\`model.json\` ${protocol.model.sha256.slice(0, 12)}), ${protocol.count} graphs of the split \`${protocol.split}\`, ` +
      `seeds ${protocol.seeds}, guidance ${protocol.guidanceScale}, levels \`${protocol.sigmas}\` with spacing \`${protocol.spacing}\`, backend ${protocol.backend}. ` +
      `The graphs have ${yardsticks.objects} objects and ${yardsticks.relations} relations: differences of shares below ` +
      `${(100 / Math.sqrt(yardsticks.relations)).toFixed(0)} points say little.`,
    '',
    `![Shares of relations and objects drawn, and Fréchet distance, against network calls](${image})`,
  ];
  const table = (title, header, rows) => {
    const row = (columns) => `| ${columns.join(' | ')} |`;
    lines.push('', title, '', row(header), row(header.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row));
  };
  for (const { field, title, yardstick, of } of MEASURES) {
    table(
      `**${title}** (${of}: ${yardstick(yardsticks).toFixed(3)}${field === 'frechet' ? '; lower is better' : `; by chance: ${yardsticks.floor[field].toFixed(3)}`})`,
      ['sampler', ...steps.map((each) => `${each} steps`)],
      samplers.map((sampler) => [
        `\`${sampler}\``,
        ...steps.map((each) => cellOf(sampler, each)?.[field].toFixed(3) ?? ''),
      ]),
    );
  }
  const more = samplers.filter((sampler) => steps.some((each) => (cellOf(sampler, each)?.calls ?? each) !== each));
  if (more.length > 0) {
    table(
      '**Network calls**, where they are not as many as the steps',
      ['sampler', ...steps.map((each) => `${each} steps`)],
      more.map((sampler) => [`\`${sampler}\``, ...steps.map((each) => cellOf(sampler, each)?.calls ?? '')]),
    );
  }
  return lines.join('\n');
}

/** The measures against network calls, as SVG: a panel each, a line per sampler. */
export async function samplersChart({ yardsticks, cells }) {
  const samplers = [...new Set(cells.map((cell) => cell.sampler))];
  const calls = [...new Set(cells.map((cell) => cell.steps))].sort((a, b) => a - b);
  const x = { scale: 'x', field: 'calls' };
  const stroke = { scale: 'sampler', field: 'sampler' };
  const dash = { signal: `test(${NOISY}, datum.sampler) ? [5, 3] : [1, 0]` };
  // Where all but the worst lie: one that falls apart would press the others into a line.
  const rangeOf = (field) => {
    const values = cells.map((cell) => cell[field]).sort((a, b) => a - b);
    const at = (share) => values[Math.round(share * (values.length - 1))];
    const reach = 3 * (at(0.75) - at(0.25));
    const usual = values.filter((value) => value >= at(0.25) - reach && value <= at(0.75) + reach);
    return [usual[0], usual.at(-1)];
  };
  const subtitleOf = (field, yardstick) => {
    const [least, most] = rangeOf(field);
    const outside = new Set(cells.filter((cell) => cell[field] < least || cell[field] > most).map((cell) => cell.sampler));
    return [yardstick, outside.size === 0 ? '' : `partly outside the panel: ${[...outside].join(', ')}`];
  };
  const panel = ({ field, title, yardstick, of }) => ({
    type: 'group',
    encode: { enter: { width: { value: 300 }, height: { value: 300 } } },
    title: { text: title, subtitle: subtitleOf(field, `${of}: ${yardstick(yardsticks).toFixed(3)}`), anchor: 'start', frame: 'group' },
    scales: [
      { name: 'x', type: 'log', range: [0, 300], domain: { data: 'cells', field: 'calls' }, padding: 8 },
      { name: 'y', range: [300, 0], nice: true, zero: false, domain: rangeOf(field) },
    ],
    axes: [
      {
        orient: 'bottom',
        scale: 'x',
        title: 'network calls',
        values: [...calls, 2 * calls.at(-1)],
        format: 'd',
        grid: true,
        gridOpacity: 0.3,
      },
      { orient: 'left', scale: 'y', grid: true, gridOpacity: 0.3 },
    ],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'cells', groupby: 'sampler' } },
        clip: true,
        encode: { enter: { width: { value: 300 }, height: { value: 300 } } },
        marks: [
          {
            type: 'line',
            from: { data: 'line' },
            sort: { field: 'datum.calls' },
            encode: { enter: { x, y: { scale: 'y', field }, stroke, strokeWidth: { value: 1.5 }, strokeDash: dash } },
          },
          {
            type: 'symbol',
            from: { data: 'line' },
            encode: { enter: { x, y: { scale: 'y', field }, fill: stroke, size: { value: 22 } } },
          },
        ],
      },
    ],
  });
  const spec = {
    background: 'white',
    padding: 8,
    layout: { columns: MEASURES.length, padding: 30 },
    data: [{ name: 'cells', values: cells.map((cell) => ({ ...cell })) }],
    scales: [{ name: 'sampler', type: 'ordinal', domain: samplers, range: { scheme: 'tableau20' } }],
    legends: [
      {
        stroke: 'sampler',
        symbolType: 'stroke',
        title: 'sampler (dashed line: draws noise)',
        titleLimit: 300,
        labelLimit: 300,
        orient: 'bottom',
        columns: 5,
        encode: {
          symbols: {
            update: {
              strokeWidth: { value: 2 },
              strokeDash: { signal: `test(${NOISY}, datum.value) ? [5, 3] : [1, 0]` },
              size: { value: 300 },
            },
          },
        },
      },
    ],
    marks: MEASURES.map(panel),
  };
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  try {
    vega.resetSVGDefIds(); // so that the names of clipping paths do not count on
    return `${await view.toSVG()}\n`;
  } finally {
    view.finalize();
  }
}

/**
 * Writes the plot, and the tables: between the marks of a document that is there, or as one of their own.
 *
 * @param results Path of what `sgdiff evaluate-samplers --out` wrote.
 */
export async function writeSamplersDocs({ results, document, image, intoDocument }) {
  const measured = JSON.parse(readFileSync(results, 'utf8'));
  const markdown = samplersMarkdown(measured, relative(dirname(document), image).replaceAll('\\', '/'));
  const text = intoDocument ? replaceMeasured(readFileSync(document, 'utf8'), markdown) : `${markdown}\n`;
  const svg = await samplersChart(measured);
  for (const [path, content] of [
    [image, svg],
    [document, text],
  ]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
