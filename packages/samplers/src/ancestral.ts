/**
 * Splits a step from `sigma` to `sigmaNext` into a way down and fresh noise: sigmaDown^2 + sigmaUp^2 = sigmaNext^2.
 *
 * `sigmaUp * sqrt(alphaCumprodNext)` is the sigma_t(eta) of arXiv:2010.02502, equation 16.
 */
export function ancestralSigmas(sigma: number, sigmaNext: number, eta: number): { sigmaDown: number; sigmaUp: number } {
  const sigmaUp = eta * sigmaNext * Math.sqrt(1 - (sigmaNext / sigma) ** 2);
  return { sigmaDown: Math.sqrt(sigmaNext ** 2 - sigmaUp ** 2), sigmaUp };
}
