import { Command, InvalidArgumentError, Option } from 'commander';
import { BACKENDS, startBackend, type BackendChoice } from './backend';
import { doctor, probe } from './commands/doctor';
import { preparePictureBook } from './commands/prepare';
import { train } from './commands/train';
import { loadConfig } from './configs/config';
import { CliError } from './errors';
import { userPath } from './files';
import { runFolder, STAGES, type StageName } from './run-folder';
import { createTerminal, type Terminal } from './terminal';

const DEFAULT_RUN = '.runs/picture-book';

type CommonOptions = { json?: boolean; verbose?: boolean };
type BackendOptions = CommonOptions & { backend?: string; threads?: number };

/** The `sgdiff` command with all its sub-commands. */
export function buildProgram(): Command {
  const program = new Command('sgdiff')
    .description('Scene graph in, picture out: prepare data, train, generate, edit, evaluate.')
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'sgdiff: ')) })
    .showHelpAfterError('(--help shows what is possible)');

  common(program.command('prepare'))
    .description('draw a data set to disk')
    .argument('<dataset>', 'picture-book')
    .option('--run <folder>', 'folder of the run', DEFAULT_RUN)
    .option('--config <file>', 'JSON whose entries replace the preset’s')
    .action(async (dataset: string, options: CommonOptions & { run: string; config?: string }) => {
      if (dataset !== 'picture-book') throw new CliError(`Unknown data set "${dataset}", expected: picture-book.`);
      const terminal = terminalOf(options);
      const config = loadConfig(options.config && userPath(options.config));
      terminal.result(await preparePictureBook(config.data, runFolder(userPath(options.run)).data, terminal));
    });

  backend(common(program.command('train')))
    .description('train one stage: autoencoder, pretrain, detector or diffusion')
    .argument('<stage>', STAGES.join(' | '))
    .option('--run <folder>', 'folder of the run', DEFAULT_RUN)
    .option('--config <file>', 'JSON whose entries replace the preset’s')
    .option('--resume', 'continue from the last checkpoint', false)
    .option('--max-minutes <minutes>', 'save and end after so long', positive)
    .option('--workers <count>', 'split each batch over so many threads (diffusion)', positive, 1)
    .option('--checkpoint-minutes <minutes>', 'minutes between checkpoints', positive, 3)
    .action(
      async (
        stage: string,
        options: BackendOptions & { run: string; config?: string; resume: boolean; maxMinutes?: number; checkpointMinutes: number; workers: number },
      ) => {
        if (!(STAGES as readonly string[]).includes(stage)) {
          throw new CliError(`Unknown stage "${stage}", expected one of: ${STAGES.join(', ')}.`);
        }
        const terminal = terminalOf(options);
        const config = loadConfig(options.config && userPath(options.config));
        const { resume, checkpointMinutes, maxMinutes, workers } = options;
        const threads = workers > 1 ? 1 : options.threads;
        await train(stage as StageName, config, runFolder(userPath(options.run)), {
          resume,
          checkpointMinutes,
          workers,
          ...(maxMinutes === undefined ? {} : { maxMinutes }),
          terminal,
          backend: await chooseBackend({ ...options, ...(threads === undefined ? {} : { threads }) }, terminal),
        });
      },
    );

  common(program.command('doctor'))
    .description('show which backends work here and how fast they are')
    .addOption(new Option('--probe <backend>').hideHelp())
    .action(async (options: CommonOptions & { probe?: string }) => {
      if (options.probe !== undefined) await probe(options.probe);
      else doctor(terminalOf(options));
    });

  return program;
}

function common(command: Command): Command {
  return command
    .option('--json', 'print one JSON object on standard output')
    .option('--verbose', 'show where an error came from');
}

function backend(command: Command): Command {
  return command
    .option('--backend <name>', `one of ${BACKENDS.join(', ')}; the best available unless given`)
    .option('--threads <count>', 'threads of the wasm and tensorflow backends', positive);
}

function terminalOf(options: CommonOptions): Terminal {
  return createTerminal({ json: options.json ?? false });
}

async function chooseBackend(options: BackendOptions, terminal: Terminal): Promise<BackendChoice> {
  const { backend: name, threads } = options;
  const choice = await startBackend({ ...(name === undefined ? {} : { backend: name }), ...(threads === undefined ? {} : { threads }) });
  terminal.note(`backend: ${choice.name}, ${choice.threads} ${choice.threads === 1 ? 'thread' : 'threads'} (${choice.reason})`);
  return choice;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('Expected a number above 0.');
  return value;
}
