import {
  IMAGE_OBJECT,
  IN_IMAGE_PREDICATE,
  nearestWords,
  safeParseSceneGraph,
  safeParseSceneText,
  type Issue,
  type SceneGraph,
  type Vocabulary,
} from '@sgdiff/sg-schema';

export type SceneReading =
  { readonly ok: true; readonly graph: SceneGraph } | { readonly ok: false; readonly problems: readonly Problem[] };

/** One thing that is wrong with the text, and texts in which it is put right. */
export type Problem = { readonly message: string; readonly fixes: readonly Fix[] };
export type Fix = { readonly word: string; readonly text: string };

/** What a model can draw. */
export type SceneLimits = { readonly vocabulary: Vocabulary; readonly maxTriples: number };

/** Reads what stands in the text box: words (`sheep on grass; tree`), or sg2im's JSON where it starts like JSON. */
export function readScene(text: string, limits: SceneLimits): SceneReading {
  const result = /^\s*[[{]/.test(text) ? safeParseSceneGraph(text, limits) : safeParseSceneText(text, limits);
  if (result.ok) return result;
  return {
    ok: false,
    problems: result.issues.map((issue) => ({ message: issue.message, fixes: fixesOf(issue, text, limits) })),
  };
}

/** The object words and predicates that a graph may use. */
export function usableWords({ objects, predicates }: Vocabulary): { objects: string[]; predicates: string[] } {
  return {
    objects: objects.filter((word) => word !== IMAGE_OBJECT),
    predicates: predicates.filter((word) => word !== IN_IMAGE_PREDICATE),
  };
}

function fixesOf(issue: Issue, text: string, { vocabulary }: SceneLimits): Fix[] {
  if (issue.code !== 'unknown_object' && issue.code !== 'unknown_predicate') return [];
  const { objects, predicates } = usableWords(vocabulary);
  const wrong = issue.received.replace(/^"|"$/g, '');
  return nearestWords(wrong, issue.code === 'unknown_object' ? objects : predicates)
    .map((word) => ({ word, text: replaceWord(text, wrong, word) }))
    .filter((fix) => fix.text !== text);
}

/** Replaces the first place where the words stand on their own, however they are spaced. */
function replaceWord(text: string, wrong: string, right: string): string {
  const words = wrong.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return text.replace(new RegExp(`(?<![^\\s;,"])${words.join('\\s+')}(?![^\\s;,"])`), () => right);
}
