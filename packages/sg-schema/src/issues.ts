/** What can be wrong with a scene graph. */
export type IssueCode =
  | 'invalid_json'
  | 'unreadable'
  | 'wrong_type'
  | 'wrong_shape'
  | 'wrong_length'
  | 'missing_key'
  | 'unknown_key'
  | 'no_objects'
  | 'empty_word'
  | 'reserved_word'
  | 'unknown_object'
  | 'unknown_predicate'
  | 'index_out_of_range'
  | 'self_relation'
  | 'too_many_objects'
  | 'too_many_triples'
  | 'unknown_id'
  | 'duplicate_id'
  | 'wrong_box'
  | 'wrong_weight'
  | 'nested_negative'
  | 'numbering'
  | 'unterminated_quote'
  | 'wrong_clause'
  | 'too_many_issues';

/** Keys and positions that lead to a place in the graph: `['relationships', 3, 2]`. */
export type IssuePath = readonly (string | number)[];

/** One thing that is wrong, in parts for a program and in one sentence for a person. */
export type Issue = {
  readonly code: IssueCode;
  readonly path: IssuePath;
  readonly expected: string;
  readonly received: string;
  /** What to do about it. */
  readonly hint: string;
  /** `relationships[3][2]: expected …, received …; do ….` */
  readonly message: string;
};

/** Thrown where outside data is not a scene graph, or not one that a model can draw. Lists everything that is wrong. */
export class SceneGraphError extends Error {
  override readonly name = 'SceneGraphError';
  readonly issues: readonly Issue[];

  /** @param where The function that was called. */
  constructor(where: string, issues: readonly Issue[]) {
    const lines = issues.map((issue) => issue.message);
    super(
      lines.length === 1
        ? `${where}: ${lines[0]}`
        : `${where}: ${lines.length} problems.\n${lines.map((line) => `- ${line}`).join('\n')}`,
    );
    this.issues = issues;
  }
}

/** Puts the parts of an issue into its sentence. */
export function createIssue(
  code: IssueCode,
  path: IssuePath,
  parts: { readonly expected: string; readonly received: string; readonly hint: string },
): Issue {
  const { expected, received, hint } = parts;
  const message = `${formatPath(path)}: expected ${expected}, received ${received}; ${hint}.`;
  return { code, path, expected, received, hint, message };
}

/** A path as people write it: `relationships[3][2]`, `negative.objects[0]`, or `graph` for the whole. */
export function formatPath(path: IssuePath): string {
  if (path.length === 0) return 'graph';
  return path.map((key, place) => (typeof key === 'number' ? `[${key}]` : place === 0 ? key : `.${key}`)).join('');
}

/** A value in a few words, however large or deep it is. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'undefined':
      return 'nothing';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return `a list of ${value.length}`;
      return 'an object';
    case 'number':
    case 'boolean':
      return String(value);
    default:
      return `a ${typeof value}`;
  }
}

/** A word in quotation marks, shortened to 60 characters. */
export function quote(word: string): string {
  return JSON.stringify(word.length > 60 ? `${word.slice(0, 57)}...` : word);
}

/** `1 object`, `2 objects`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** Collects issues up to a limit, so that a file with a million mistakes makes a short report. */
export type IssueList = {
  add(
    code: IssueCode,
    path: IssuePath,
    parts: { readonly expected: string; readonly received: string; readonly hint: string },
  ): void;
  push(issue: Issue): void;
  /** True once the limit is reached: the caller stops looking. */
  readonly full: boolean;
  readonly issues: readonly Issue[];
};

/** The most issues that one report lists; the next one says that there are more. */
export const ISSUE_LIMIT = 100;

export function createIssueList(): IssueList {
  const issues: Issue[] = [];
  const push = (issue: Issue): void => {
    if (issues.length > ISSUE_LIMIT) return;
    issues.push(
      issues.length < ISSUE_LIMIT
        ? issue
        : createIssue('too_many_issues', [], {
            expected: `at most ${ISSUE_LIMIT} problems`,
            received: 'more',
            hint: 'mend the ones listed and parse again to see the rest',
          }),
    );
  };
  return {
    push,
    add: (code, path, parts) => push(createIssue(code, path, parts)),
    get full() {
      return issues.length > ISSUE_LIMIT;
    },
    issues,
  };
}
