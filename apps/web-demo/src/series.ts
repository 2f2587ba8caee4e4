import { parseSceneGraphs, type SceneGraph } from '@sgdiff/sg-schema';
import figure6 from '../../../examples/graphs/figure-6.json';

/** The signature series: sg2im's Figure 6, seven graphs of which each is an edit of the one before. */
export const SERIES: readonly SceneGraph[] = parseSceneGraphs(figure6);
