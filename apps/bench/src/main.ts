import { BenchError } from './errors';
import { buildProgram } from './program';
import { runSession, type SessionMessage, type SessionRequest } from './session';

const [, , first, request] = process.argv;
if (first === '--session') await serve(JSON.parse(request) as SessionRequest);
else await run();

async function run(): Promise<void> {
  try {
    await buildProgram(finish).parseAsync(process.argv);
  } catch (error) {
    const text = error instanceof BenchError ? error.message : ((error as Error).stack ?? String(error));
    process.stderr.write(`bench: ${text}\n`);
    finish(1);
  }
}

/** The process of one session: tells its parent what it finds, and ends when the parent does. */
async function serve(session: SessionRequest): Promise<void> {
  process.on('disconnect', () => process.exit(1));
  const tell = (message: SessionMessage): Promise<void> => new Promise((sent) => process.send!(message, undefined, {}, () => sent()));
  try {
    await runSession(session, (message) => void tell(message));
  } catch (error) {
    await tell({ failure: `${session.backend}: ${(error as Error).message}` });
  }
  process.exit(0);
}

/** Ends the process after what was printed has gone out. */
function finish(code: number): void {
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)));
}
