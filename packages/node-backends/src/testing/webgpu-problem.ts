import { webgpuAdapters } from '../webgpu';

/** Why webgpu cannot run here; undefined if it can. */
export async function webgpuProblem(): Promise<string | undefined> {
  try {
    return (await webgpuAdapters()).length > 0 ? undefined : 'no adapter';
  } catch (error) {
    return (error as Error).message;
  }
}
