// Terms: a clause is `subject predicate object` or one object alone; a token is a word without blanks, or text in quotes.
import type { IssueList, IssuePath } from './issues';
import type { ParseResult } from './parse';
import type { SelfRelations } from './rules';
import type { SceneGraph, Triple, Vocabulary } from './types';

import { createIssueList, quote, SceneGraphError } from './issues';
import { addSelfRelation, checkObjectCount, checkObjectWord, checkPredicateWord, checkTripleCount } from './rules';
import { IMAGE_OBJECT, IN_IMAGE_PREDICATE } from './vocabulary';

export type ParseTextOptions = {
  /** The words that the text is cut by; the longest that fits is taken. */
  readonly vocabulary: Vocabulary;
  /** The most triples, counting each relation and one `__in_image__` per object. Default: no limit. */
  readonly maxTriples?: number;
  /** The most objects, `__image__` not counted. Default: no limit. */
  readonly maxObjects?: number;
  /** Whether an object may relate to itself. Default: `'error'`. */
  readonly selfRelations?: SelfRelations;
};

export type SceneTextOptions = {
  /** With it, words that would be cut differently are put in quotes, so that `parseSceneText` gives the same graph. */
  readonly vocabulary?: Vocabulary;
};

/**
 * The scene graph in a text such as `sheep standing on grass; tree behind sheep; sky`.
 *
 * Clauses end with `;`, `,` or a new line. The same word is the same object; a number makes another one: `sheep 2 by sheep` has
 * two, and `sheep 1` is `sheep`. Case does not matter. A word in double quotes is taken whole, with `\"` and `\\` inside.
 * Objects come in order of first mention.
 *
 * @throws SceneGraphError listing every clause that cannot be read, with its place as path: `clauses[2]`.
 */
export function parseSceneText(text: string, options: ParseTextOptions): SceneGraph {
  const result = safeParseSceneText(text, options);
  if (!result.ok) throw new SceneGraphError('parseSceneText', result.issues);
  return result.graph;
}

/** As `parseSceneText`, but returns the issues instead of throwing them. */
export function safeParseSceneText(text: string, options: ParseTextOptions): ParseResult {
  const { vocabulary, maxTriples = Infinity, maxObjects = Infinity, selfRelations = 'error' } = options;
  const issues = createIssueList();
  const lexicon = createLexicon(vocabulary);
  const clauses: { place: number; clause: Clause }[] = [];
  splitClauses(text, issues).forEach((tokens, place) => {
    if (issues.full) return;
    const clause = readClause(tokens, lexicon);
    if (clause !== undefined) clauses.push({ place, clause });
    else explainClause(tokens, lexicon, ['clauses', place], issues);
  });

  const objects: string[] = [];
  const relationships: Triple[] = [];
  const mentions = new Map<string, Map<number, { position: number; place: number }>>();
  const mention = ({ word, number = 1 }: Mention, place: number): number => {
    const ofWord = mentions.get(word) ?? new Map<number, { position: number; place: number }>();
    mentions.set(word, ofWord);
    const known = ofWord.get(number);
    if (known !== undefined) return known.position;
    ofWord.set(number, { position: objects.length, place });
    return objects.push(word) - 1;
  };
  for (const { place, clause } of clauses) {
    const subject = mention(clause.subject, place);
    if (clause.relation === undefined) continue;
    const object = mention(clause.relation.object, place);
    if (subject === object && selfRelations !== 'allow') {
      const { word } = clause.subject;
      const another = quote(`${word} ${(clause.subject.number ?? 1) + 1}`);
      addSelfRelation(issues, ['clauses', place], word, `write ${another} for another ${word}`);
    }
    relationships.push([subject, clause.relation.predicate, object]);
  }
  checkNumbering(mentions, issues);
  if (objects.length === 0 && issues.issues.length === 0) {
    issues.add('no_objects', [], {
      expected: 'at least one object',
      received: 'a text without words',
      hint: 'name something to draw',
    });
  }
  const graph: SceneGraph = { objects, relationships };
  if (issues.issues.length === 0) {
    checkObjectCount(issues, ['objects'], objects.length, maxObjects);
    checkTripleCount(issues, [], graph, maxTriples);
  }
  return issues.issues.length > 0 ? { ok: false, issues: issues.issues } : { ok: true, graph };
}

/**
 * A graph as text: `sheep standing on grass; tree behind sheep`. An object stands alone where no relation names it, or where that
 * keeps the order of the objects. Ids, boxes, weights and the negative graph are not written.
 *
 * With the vocabulary that `parseSceneText` will be given, reading the text gives the same objects and relationships. Without it
 * the text is for people: `a on b` cannot be told apart where both `on` and `on b` are words.
 */
export function sceneText(graph: SceneGraph, { vocabulary }: SceneTextOptions = {}): string {
  const lexicon = vocabulary && createLexicon(vocabulary);
  const names = numberObjects(graph.objects);
  const clauses: string[] = [];
  let mentioned = 0; // Objects 0 to this one have been named, in this order.
  const nameUpTo = (end: number): void => {
    for (; mentioned < end; mentioned++) clauses.push(writeClause({ subject: names[mentioned]! }, lexicon));
  };
  for (const [subject, predicate, object] of graph.relationships) {
    const newOnes = [...new Set([subject, object])].filter((position) => position >= mentioned);
    const inOrder = newOnes.every((position, i) => position === mentioned + i);
    if (inOrder) mentioned += newOnes.length;
    else nameUpTo(Math.max(...newOnes) + 1);
    const relation = { predicate, object: names[object]! };
    clauses.push(writeClause({ subject: names[subject]!, relation }, lexicon));
  }
  nameUpTo(names.length);
  return clauses.join('; ');
}

type Token = { readonly text: string; readonly quoted: boolean };
type Mention = { readonly word: string; readonly number?: number };
type Clause = {
  readonly subject: Mention;
  readonly relation?: { readonly predicate: string; readonly object: Mention };
};
type Match<T> = { readonly value: T; readonly end: number };
type WordList = {
  /** The word that a phrase stands for. */
  find(phrase: string): string | undefined;
  has(word: string): boolean;
  /** Tokens in the longest word. */
  readonly longest: number;
};
type Lexicon = { readonly vocabulary: Vocabulary; readonly objects: WordList; readonly predicates: WordList };

function createLexicon(vocabulary: Vocabulary): Lexicon {
  return {
    vocabulary,
    objects: createWordList(vocabulary.objects, IMAGE_OBJECT, (word) => vocabulary.objectIndex(word)),
    predicates: createWordList(vocabulary.predicates, IN_IMAGE_PREDICATE, (word) => vocabulary.predicateIndex(word)),
  };
}

function createWordList(
  words: readonly string[],
  reserved: string,
  index: (word: string) => number | undefined,
): WordList {
  const byLowerCase = new Map<string, string>();
  let longest = 1;
  const has = (word: string): boolean => word !== reserved && index(word) !== undefined;
  for (const word of words) {
    if (!has(word)) continue;
    longest = Math.max(longest, word.split(/\s+/).length);
    if (!byLowerCase.has(word.toLowerCase())) byLowerCase.set(word.toLowerCase(), word);
  }
  return {
    longest,
    has,
    find: (phrase) => (has(phrase) ? phrase : byLowerCase.get(phrase.toLowerCase())),
  };
}

const SEPARATOR = /[;,\n\r]/y;
const BLANKS = /[^\S\n\r]+/y;
const PLAIN_TOKEN = /[^\s;,"][^\s;,]*/y;
// Piece by piece, since one expression for the whole quotation overflows the stack on long ones.
const QUOTED_PIECE = /[^"\\]+|\\[^]/uy;

/** The tokens of each clause; clauses without any are left out. */
function splitClauses(text: string, issues: IssueList): Token[][] {
  const clauses: Token[][] = [];
  let clause: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const piece = pattern.exec(text)?.[0];
    at += piece?.length ?? 0;
    return piece;
  };
  while (at < text.length) {
    if (take(BLANKS) !== undefined) continue;
    if (take(SEPARATOR) !== undefined) {
      if (clause.length > 0) clauses.push(clause);
      clause = [];
      continue;
    }
    const plain = take(PLAIN_TOKEN);
    if (plain !== undefined) {
      clause.push({ text: plain, quoted: false });
      continue;
    }
    const start = at++; // What is left is a quotation mark.
    const pieces: string[] = [];
    for (let piece = take(QUOTED_PIECE); piece !== undefined; piece = take(QUOTED_PIECE)) {
      pieces.push(piece.startsWith('\\') ? piece.slice(1) : piece);
    }
    clause.push({ text: pieces.join(''), quoted: true });
    if (text[at] !== '"') {
      issues.add('unterminated_quote', ['clauses', clauses.length], {
        expected: 'a closing " before the end of the text',
        received: quote(text.slice(start)),
        hint: 'close the quotation, and write \\" for a quotation mark inside it',
      });
    }
    at++;
  }
  if (clause.length > 0) clauses.push(clause);
  return clauses;
}

/** The first reading of all the tokens, longer words before shorter ones; `undefined` where there is none. */
function readClause(tokens: readonly Token[], lexicon: Lexicon): Clause | undefined {
  for (const subject of mentionsAt(tokens, 0, lexicon)) {
    if (subject.end === tokens.length) return { subject: subject.value };
    for (const predicate of wordsAt(tokens, subject.end, lexicon.predicates)) {
      for (const object of mentionsAt(tokens, predicate.end, lexicon)) {
        if (object.end < tokens.length) continue;
        return { subject: subject.value, relation: { predicate: predicate.value, object: object.value } };
      }
    }
  }
  return undefined;
}

/** The words that start at a token, longest first. */
function wordsAt(tokens: readonly Token[], start: number, words: WordList): Match<string>[] {
  const first = tokens[start];
  if (first === undefined) return [];
  if (first.quoted) return words.has(first.text) ? [{ value: first.text, end: start + 1 }] : [];
  const matches: Match<string>[] = [];
  let phrase = '';
  for (let end = start + 1; end <= tokens.length && end - start <= words.longest; end++) {
    const token = tokens[end - 1]!;
    if (token.quoted) break;
    phrase = phrase === '' ? token.text : `${phrase} ${token.text}`;
    const value = words.find(phrase);
    if (value !== undefined) matches.unshift({ value, end });
  }
  return matches;
}

/** The objects that start at a token, longest word first, with the number that follows before without it. */
function mentionsAt(tokens: readonly Token[], start: number, lexicon: Lexicon): Match<Mention>[] {
  return wordsAt(tokens, start, lexicon.objects).flatMap(({ value: word, end }): Match<Mention>[] => {
    const number = numberAt(tokens, end);
    const plain = { value: { word }, end };
    return number === undefined ? [plain] : [{ value: { word, number }, end: end + 1 }, plain];
  });
}

function numberAt(tokens: readonly Token[], place: number): number | undefined {
  const token = tokens[place];
  return token !== undefined && !token.quoted && /^\d{1,6}$/.test(token.text) ? Number(token.text) : undefined;
}

/** Finds out why a clause cannot be read, and says the most useful thing about it. */
function explainClause(tokens: readonly Token[], lexicon: Lexicon, path: IssuePath, issues: IssueList): void {
  const { vocabulary } = lexicon;
  const wrong = (received: string, hint: string): void =>
    issues.add('wrong_clause', path, { expected: '"subject predicate object" or one object', received, hint });

  const subject = mentionsAt(tokens, 0, lexicon)[0];
  if (subject === undefined) {
    let cut = 0;
    while (cut < tokens.length && wordsAt(tokens, cut, lexicon.predicates).length === 0) cut++;
    if (cut === 0) return wrong(quote(phraseOf(tokens)), `write an object before ${quote(phraseOf(tokens))}`);
    // Without a known predicate nothing tells where the object ends: then it is taken to be the first token.
    const end = cut === tokens.length && cut > 2 ? 1 : cut;
    return checkObjectWord(issues, path, phraseOf(withoutNumber(tokens.slice(0, end))), vocabulary);
  }
  const predicate = mentionsAt(tokens, 0, lexicon)
    .flatMap(({ end }) => wordsAt(tokens, end, lexicon.predicates))
    .at(0);
  if (predicate === undefined) {
    const rest = tokens.slice(subject.end);
    if (rest.length === 1) {
      return wrong(quote(phraseOf(tokens)), `write a predicate and an object after ${quote(subject.value.word)}`);
    }
    let cut = subject.end + 1;
    while (cut < tokens.length && !mentionsAt(tokens, cut, lexicon).some(({ end }) => end === tokens.length)) cut++;
    const end = cut === tokens.length ? tokens.length - 1 : cut;
    return checkPredicateWord(issues, path, phraseOf(tokens.slice(subject.end, end)), vocabulary);
  }
  const rest = tokens.slice(predicate.end);
  if (rest.length === 0) {
    return wrong(quote(phraseOf(tokens)), `write an object after ${quote(predicate.value)}`);
  }
  const object = mentionsAt(tokens, predicate.end, lexicon)[0];
  if (object === undefined) return checkObjectWord(issues, path, phraseOf(withoutNumber(rest)), vocabulary);
  const more = phraseOf(tokens.slice(object.end));
  wrong(quote(phraseOf(tokens)), `end the clause with ";" before ${quote(more)}`);
}

function phraseOf(tokens: readonly Token[]): string {
  return tokens.map(({ text }) => text).join(' ');
}

function withoutNumber(tokens: readonly Token[]): readonly Token[] {
  return tokens.length > 1 && numberAt(tokens, tokens.length - 1) !== undefined ? tokens.slice(0, -1) : tokens;
}

/** `sheep 3` without `sheep 2` is more likely a slip than a wish. */
function checkNumbering(
  mentions: ReadonlyMap<string, ReadonlyMap<number, { readonly place: number }>>,
  issues: IssueList,
): void {
  for (const [word, numbers] of mentions) {
    let missing = 1;
    while (numbers.has(missing)) missing++;
    const tooHigh = [...numbers.keys()].filter((number) => number > numbers.size || number < 1);
    if (tooHigh.length === 0) continue;
    const wrong = Math.max(...tooHigh.slice(0, 100));
    issues.add('numbering', ['clauses', numbers.get(wrong)!.place], {
      expected: `the ${word} objects numbered from 1 without gaps`,
      received: `${quote(`${word} ${wrong}`)} but no ${quote(missing === 1 ? word : `${word} ${missing}`)}`,
      hint: `write ${quote(missing === 1 ? word : `${word} ${missing}`)} instead, or mention it too`,
    });
  }
}

/** Each object's word, with a number from its second occurrence on. */
function numberObjects(objects: readonly string[]): Mention[] {
  const seen = new Map<string, number>();
  return objects.map((word) => {
    const number = (seen.get(word) ?? 0) + 1;
    seen.set(word, number);
    return number === 1 ? { word } : { word, number };
  });
}

function writeClause(clause: Clause, lexicon: Lexicon | undefined): string {
  const plain = formatClause(clause, (word) => (isPlain(word) ? word : quoted(word)));
  if (lexicon === undefined) return plain;
  const tokens = splitClauses(plain, createIssueList())[0] ?? [];
  const read = readClause(tokens, lexicon);
  return read !== undefined && sameClause(read, clause) ? plain : formatClause(clause, quoted);
}

function formatClause({ subject, relation }: Clause, write: (word: string) => string): string {
  const name = ({ word, number }: Mention): string => (number === undefined ? write(word) : `${write(word)} ${number}`);
  return relation === undefined
    ? name(subject)
    : `${name(subject)} ${write(relation.predicate)} ${name(relation.object)}`;
}

function sameClause(a: Clause, b: Clause): boolean {
  const sameMention = (x?: Mention, y?: Mention): boolean => x?.word === y?.word && x?.number === y?.number;
  return (
    sameMention(a.subject, b.subject) &&
    a.relation?.predicate === b.relation?.predicate &&
    sameMention(a.relation?.object, b.relation?.object)
  );
}

/** Whether a word needs no quotes: tokens with single blanks between, none of them a number. */
function isPlain(word: string): boolean {
  return word !== '' && word.trim() === word && !/[;,"]|[^\S ]| {2}/.test(word) && !/(?:^| )\d+(?: |$)/.test(word);
}

function quoted(word: string): string {
  return `"${word.replaceAll(/["\\]/g, '\\$&')}"`;
}
