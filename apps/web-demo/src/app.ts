// The page: reads the controls, asks the client for pictures, shows what comes. No tensors here.
import { parseVocabulary, sceneText, type SceneGraph } from '@sgdiff/sg-schema';
import type { DrawingClient } from './drawing-client';
import { drawingFacts } from './drawing-facts';
import { describeEdit } from './named-difference';
import { drawGraph } from './graph-drawing';
import { encodePng } from './png';
import type { DrawResult, LoadRequest, Pixels, ReadyReport, StepProgress } from './protocol';
import { readScene, usableWords, type SceneLimits } from './scene-input';
import { SERIES } from './series';

type Settings = { readonly seed: number; readonly steps: number; readonly guidanceScale: number };
/** A picture with what it was asked for. */
type Shown = Settings & DrawResult & { readonly graph: SceneGraph };

/** Pictures kept, so that a scene drawn before comes back at once. */
const KEPT_PICTURES = 200;
const PREVIEWS = 7;
/** Of the edits between two pictures, so many are named. */
const TOLD_EDITS = 3;

/** Wires the page of index.html to a drawing client. */
export async function startApp(client: DrawingClient, request: LoadRequest): Promise<void> {
  const ui = findElements();
  const pictures = new Map<string, Shown>();
  let ready: (ReadyReport & { limits: SceneLimits }) | undefined;
  /** What the text box says, unless something is wrong with it. */
  let graph: SceneGraph | undefined = SERIES[0];
  let shown: Shown | undefined;
  let before: Shown | undefined;
  let running: AbortController | undefined;

  const tiles = SERIES.map((scene, i) => createTile(i, scene, SERIES[i - 1]));
  ui.tiles.append(...tiles.map(({ item }) => item));
  ui.scene.value = sceneText(SERIES[0]!);
  showSettings();
  showGraph();

  ui.scene.addEventListener('input', readText);
  ui.scene.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    ui.settings.requestSubmit(ui.draw);
  });
  ui.settings.addEventListener('input', showSettings);
  ui.settings.addEventListener('submit', (event) => {
    event.preventDefault();
    if (graph && ready && !running) void run((signal) => draw(graph!, signal));
  });
  ui.reroll.addEventListener('click', () => {
    ui.seed.value = String(Math.floor(Math.random() * 10_000));
    showSettings();
    if (graph) void run((signal) => draw(graph!, signal));
  });
  ui.drawAll.addEventListener('click', () => void run(drawSeries));
  ui.cancel.addEventListener('click', () => running?.abort());
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') running?.abort();
  });
  ui.before.addEventListener('click', () => before && bringBack(before));
  ui.download.addEventListener('click', () => shown && void download(shown));
  tiles.forEach(({ button }, i) => {
    button.addEventListener('click', () => {
      setGraph(SERIES[i]!);
      if (ready && !running) void run((signal) => draw(SERIES[i]!, signal));
    });
  });

  try {
    const report = await client.load(request, (progress) => {
      if (progress.stage === 'backend') return showStatus('loading', 'Looking for a GPU …');
      const share = progress.totalBytes > 0 ? progress.loadedBytes / progress.totalBytes : 0;
      showStatus('loading', `Loading the model … ${Math.floor(share * 100)} %`);
    });
    const { model, backend } = report;
    const vocabulary = parseVocabulary(model.vocabulary);
    ready = { ...report, limits: { vocabulary, maxTriples: model.maxTriples } };
    ui.steps.max = String(Math.max(Number(ui.steps.max), model.defaults.steps));
    ui.steps.value = String(model.defaults.steps);
    ui.guidance.disabled = !model.guidable;
    ui.guidance.value = String(model.defaults.guidanceScale);
    for (const canvas of [ui.picture, ui.beforePicture, ...tiles.map((tile) => tile.canvas)]) {
      canvas.width = canvas.height = model.imageSize;
    }
    showStatus('ready', `Ready on ${backendText(backend)}`, `Why: ${backend.reason}.`);
    ui.modelText.textContent = `Model: ${model.name}, ${model.licence}, ${model.imageSize} px.`;
    showWords(ui, vocabulary, readText);
    showSettings();
    readText();
  } catch (error) {
    showStatus('failed', 'Not able to draw');
    ui.unavailable.textContent = (error as Error).message;
    ui.unavailable.hidden = false;
  }

  function readText(): void {
    if (!ready) return;
    const reading = readScene(ui.scene.value, ready.limits);
    graph = reading.ok ? reading.graph : undefined;
    ui.scene.setAttribute('aria-invalid', String(!reading.ok));
    ui.problems.replaceChildren(
      ...(reading.ok ? [] : reading.problems).map((problem) => {
        const item = document.createElement('li');
        item.append(problem.message, ' ');
        for (const { word, text } of problem.fixes) {
          const button = createButton(word, () => {
            ui.scene.value = text;
            ui.scene.focus();
            readText();
          });
          button.setAttribute('aria-label', `Write ${word} instead`);
          item.append(button);
        }
        return item;
      }),
    );
    showGraph();
    enable();
  }

  function setGraph(next: SceneGraph): void {
    ui.scene.value = sceneText(next, ready ? { vocabulary: ready.limits.vocabulary } : {});
    graph = next;
    readText();
    showGraph();
  }

  /** With what is new since the picture, or, right after drawing, since the picture before. */
  function showGraph(): void {
    if (graph) {
      const since = shown && sceneText(shown.graph) === sceneText(graph) ? before?.graph : shown?.graph;
      ui.drawing.replaceChildren(drawGraph(graph, since));
    }
    ui.drawing.classList.toggle('stale', !graph);
    const text = graph && sceneText(graph);
    tiles.forEach(({ item, button }, i) => {
      const isThis = sceneText(SERIES[i]!) === text;
      button.setAttribute('aria-pressed', String(isThis));
      const { offsetLeft, offsetWidth } = item;
      // Where the tiles scroll, on narrow screens; scrollIntoView would move the page as well.
      if (isThis)
        ui.tiles.scrollTo({ left: offsetLeft - (ui.tiles.clientWidth - offsetWidth) / 2, behavior: 'smooth' });
    });
  }

  function showSettings(): void {
    const { seed, steps, guidanceScale } = settings();
    ui.stepsValue.textContent = String(steps);
    ui.guidanceValue.textContent = guidanceScale === 1 ? 'off' : String(guidanceScale);
    for (const [i, tile] of tiles.entries()) {
      const picture = pictures.get(requestKey(SERIES[i]!, { seed, steps, guidanceScale }));
      tile.button.classList.toggle('drawn', picture !== undefined);
      if (picture) paint(tile.canvas, picture.pixels);
    }
    enable();
  }

  function settings(): Settings {
    return { seed: ui.seed.valueAsNumber, steps: ui.steps.valueAsNumber, guidanceScale: ui.guidance.valueAsNumber };
  }

  function enable(): void {
    const idle = ready !== undefined && running === undefined;
    ui.draw.disabled = !idle || !graph;
    ui.reroll.disabled = !idle || !graph;
    ui.drawAll.disabled = !idle;
    ui.cancel.hidden = running === undefined;
    ui.pictureCard.setAttribute('aria-busy', String(running !== undefined));
  }

  /** One thing at a time, which Cancel ends. */
  async function run(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (!ui.settings.reportValidity()) return;
    const controller = (running = new AbortController());
    const pressed = document.activeElement;
    enable();
    // A button that is switched off would lose the focus of the keyboard.
    if (pressed instanceof HTMLButtonElement && pressed.disabled) ui.cancel.focus({ preventScroll: true });
    ui.failure.hidden = true;
    try {
      await task(controller.signal);
    } catch (error) {
      if (controller.signal.aborted) announce('Cancelled.');
      else showFailure(error as Error);
      if (shown) paint(ui.picture, shown.pixels);
      ui.frame.dataset['state'] = shown ? 'done' : 'empty';
    } finally {
      running = undefined;
      ui.progress.value = 0;
      const hadFocus = document.activeElement === ui.cancel;
      showSettings();
      if (hadFocus && pressed instanceof HTMLElement) pressed.focus({ preventScroll: true });
    }
  }

  async function draw(scene: SceneGraph, signal: AbortSignal): Promise<void> {
    const wanted = settings();
    const key = requestKey(scene, wanted);
    const known = pictures.get(key);
    if (known) {
      show(known);
      announce('Same graph, seed and settings: the same picture. Take another seed for another one.');
      return;
    }
    ui.frame.dataset['state'] = 'running';
    showCaption(`Step 0 of ${wanted.steps}`);
    if (matchMedia('(max-width: 760px)').matches)
      ui.pictureCard.scrollIntoView({ behavior: 'smooth', block: 'nearest' });
    const tile = tiles[SERIES.findIndex((one) => sceneText(one) === sceneText(scene))];
    const result = await client
      .draw(
        { graph: scene, ...wanted, previewEvery: Math.max(1, Math.round(wanted.steps / PREVIEWS)) },
        {
          signal,
          onStep: (progress) => {
            showStep(progress);
            if (progress.preview && tile) paint(tile.canvas, progress.preview);
            tile?.button.classList.toggle('drawing-now', true);
          },
        },
      )
      .finally(() => tile?.button.classList.remove('drawing-now'));
    const picture: Shown = { ...wanted, ...result, graph: scene };
    if (pictures.size >= KEPT_PICTURES) pictures.delete(pictures.keys().next().value!);
    pictures.set(key, picture);
    show(picture);
    showCaption('');
    ui.announcement.textContent = `Drawn in ${result.seconds.toFixed(1)} seconds.`;
  }

  async function drawSeries(signal: AbortSignal): Promise<void> {
    for (const scene of SERIES) {
      setGraph(scene);
      await draw(scene, signal);
      showSettings();
    }
  }

  function showStep({ done, steps, seconds, preview }: StepProgress): void {
    ui.progress.value = done / steps;
    showCaption(`Step ${done} of ${steps} · ${seconds.toFixed(1)} s`);
    if (preview) paint(ui.picture, preview);
  }

  function show(picture: Shown): void {
    if (shown && shown !== picture) before = shown;
    shown = picture;
    paint(ui.picture, picture.pixels);
    ui.frame.dataset['state'] = 'done';
    ui.picture.setAttribute('aria-label', `Picture of: ${sceneText(picture.graph)}`);
    const facts = drawingFacts(picture, { graph: picture.graph, threads: ready!.backend.threads });
    ui.facts.replaceChildren(
      ...facts.map(({ text, title = '' }) => Object.assign(document.createElement('li'), { textContent: text, title })),
    );
    ui.download.hidden = false;
    ui.before.hidden = !before;
    if (before) {
      paint(ui.beforePicture, before.pixels);
      ui.beforeText.textContent = describeChange(before, picture);
    }
    showGraph();
  }

  function bringBack(picture: Shown): void {
    if (running) return;
    ui.seed.value = String(picture.seed);
    ui.steps.value = String(picture.steps);
    ui.guidance.value = String(picture.guidanceScale);
    setGraph(picture.graph);
    show(picture);
    showSettings();
    showCaption('');
  }

  /** Seen and heard; captions of steps are only seen. */
  function announce(text: string): void {
    showCaption(text);
    ui.announcement.textContent = text;
  }

  function showCaption(text: string): void {
    ui.caption.textContent = text;
  }

  function showFailure(error: Error): void {
    ui.failure.textContent = error.message;
    ui.failure.hidden = false;
    showCaption('');
    if (ready?.backend.name !== 'webgpu') return;
    const link = Object.assign(document.createElement('a'), {
      href: '?backend=wasm',
      textContent: 'Draw without the GPU',
    });
    ui.failure.append(' ', link);
  }

  function showStatus(state: 'loading' | 'ready' | 'failed', text: string, title = ''): void {
    ui.status.dataset['state'] = state;
    ui.status.title = title;
    ui.statusText.textContent = text;
  }
}

function createTile(
  index: number,
  scene: SceneGraph,
  last: SceneGraph | undefined,
): { item: HTMLLIElement; button: HTMLButtonElement; canvas: HTMLCanvasElement } {
  const item = document.createElement('li');
  const button = Object.assign(document.createElement('button'), { type: 'button', className: 'tile' });
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 64 });
  canvas.setAttribute('aria-hidden', 'true');
  const number = Object.assign(document.createElement('span'), { className: 'number', textContent: String(index + 1) });
  const thumbnail = Object.assign(document.createElement('span'), { className: 'thumbnail' });
  thumbnail.append(canvas, number);
  const edit = last ? describeEdit(last, scene).join(', ') : scene.objects.join(', ');
  const caption = Object.assign(document.createElement('span'), { className: 'edit', textContent: edit });
  button.append(thumbnail, caption);
  button.title = sceneText(scene);
  item.append(button);
  return { item, button, canvas };
}

/** Object words and predicates as buttons that write themselves into the text box. */
function showWords(ui: Elements, vocabulary: SceneLimits['vocabulary'], onChange: () => void): void {
  const { objects, predicates } = usableWords(vocabulary);
  const insert = (word: string): void => {
    const { value, selectionStart, selectionEnd } = ui.scene;
    const head = value.slice(0, selectionStart);
    const space = head === '' || /\s$/.test(head) ? '' : ' ';
    ui.scene.setRangeText(space + word, selectionStart, selectionEnd, 'end');
    onChange();
  };
  const list = (title: string, words: readonly string[]): HTMLElement => {
    const group = document.createElement('p');
    group.append(Object.assign(document.createElement('b'), { textContent: title }), ' ');
    group.append(...words.flatMap((word) => [createButton(word, () => insert(word)), ' ']));
    return group;
  };
  ui.words.replaceChildren(
    list(`${objects.length} objects`, objects),
    list(`${predicates.length} relations`, predicates),
  );
}

/** How a picture's request differs from that of the one before. */
function describeChange(before: Shown, after: Shown): string {
  const edits = describeEdit(before.graph, after.graph);
  const changes = edits.slice(0, TOLD_EDITS);
  if (edits.length > TOLD_EDITS) changes.push(`${edits.length - TOLD_EDITS} more`);
  if (before.seed !== after.seed) changes.push(`seed ${before.seed} → ${after.seed}`);
  else if (changes.length > 0) changes.push('same seed');
  if (before.guidanceScale !== after.guidanceScale)
    changes.push(`guidance ${before.guidanceScale} → ${after.guidanceScale}`);
  if (before.steps !== after.steps) changes.push(`steps ${before.steps} → ${after.steps}`);
  return changes.length > 0 ? `then ${changes.join(', ')}` : '';
}

async function download({ pixels, record, seed, graph }: Shown): Promise<void> {
  const png = new Blob([await encodePng(pixels, record)], { type: 'image/png' });
  const url = URL.createObjectURL(png);
  const name = `${graph.objects
    .join('-')
    .replace(/[^\w-]+/g, '_')
    .slice(0, 60)}-${seed}.png`;
  Object.assign(document.createElement('a'), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function paint(canvas: HTMLCanvasElement, { width, height, data }: Pixels): void {
  const rgba = new Uint8ClampedArray(width * height * 4);
  for (let from = 0, to = 0; from < data.length; from += 3, to += 4) {
    rgba[to] = data[from]!;
    rgba[to + 1] = data[from + 1]!;
    rgba[to + 2] = data[from + 2]!;
    rgba[to + 3] = 255;
  }
  canvas.getContext('2d')!.putImageData(new ImageData(rgba, width, height), 0, 0);
}

function requestKey(graph: SceneGraph, { seed, steps, guidanceScale }: Settings): string {
  return JSON.stringify([graph.objects, graph.relationships, seed, steps, guidanceScale]);
}

function backendText({ name, threads }: ReadyReport['backend']): string {
  if (name === 'webgpu') return 'WebGPU';
  return threads > 1 ? `wasm, ${threads} threads` : 'wasm';
}

function createButton(text: string, onClick: () => void): HTMLButtonElement {
  const button = Object.assign(document.createElement('button'), {
    type: 'button',
    className: 'word',
    textContent: text,
  });
  button.addEventListener('click', onClick);
  return button;
}

type Elements = ReturnType<typeof findElements>;

function findElements() {
  const find = <T extends Element>(id: string, type: new () => T): T => {
    const element = document.getElementById(id);
    if (element instanceof type) return element;
    throw new Error(`index.html has no <${type.name}> with the id "${id}".`);
  };
  return {
    status: find('status', HTMLElement),
    statusText: find('status-text', HTMLElement),
    unavailable: find('unavailable', HTMLElement),
    tiles: find('tiles', HTMLElement),
    drawAll: find('draw-all', HTMLButtonElement),
    drawing: find('drawing', HTMLElement),
    scene: find('scene', HTMLTextAreaElement),
    problems: find('problems', HTMLElement),
    words: find('words', HTMLElement),
    settings: find('settings', HTMLFormElement),
    seed: find('seed', HTMLInputElement),
    reroll: find('reroll', HTMLButtonElement),
    guidance: find('guidance', HTMLInputElement),
    guidanceValue: find('guidance-value', HTMLElement),
    steps: find('steps', HTMLInputElement),
    stepsValue: find('steps-value', HTMLElement),
    draw: find('draw', HTMLButtonElement),
    pictureCard: find('picture-card', HTMLElement),
    picture: find('picture', HTMLCanvasElement),
    frame: find('frame', HTMLElement),
    progress: find('progress', HTMLProgressElement),
    cancel: find('cancel', HTMLButtonElement),
    caption: find('caption', HTMLElement),
    announcement: find('announcement', HTMLElement),
    failure: find('failure', HTMLElement),
    facts: find('facts', HTMLElement),
    before: find('before', HTMLButtonElement),
    beforePicture: find('before-picture', HTMLCanvasElement),
    beforeText: find('before-text', HTMLElement),
    download: find('download', HTMLButtonElement),
    modelText: find('model-text', HTMLElement),
  };
}
