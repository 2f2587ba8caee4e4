import { runContract, type ContractOptions, type ContractReport } from '@sgdiff/nn/contract';
import '@tensorflow/tfjs-core/dist/register_all_gradients';
import { startBackend } from '../../backend';
import type { BackendName } from '../../protocol';

/** The report, and the threads that it was made with. */
export type PageReport = ContractReport & { readonly threads: number };

/** What the test asks of this page. */
export type ContractPage = {
  runContractOn(backend: BackendName, threads: number, size: NonNullable<ContractOptions['size']>): Promise<PageReport>;
};

Object.assign(globalThis, {
  async runContractOn(backend, threads, size) {
    const started = await startBackend({ backend, threads });
    return { ...(await runContract({ size })), threads: started.threads };
  },
} satisfies ContractPage);
