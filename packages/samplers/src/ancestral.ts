/**
 * Splits a step from `sigma` to `sigmaNext` into a way down and fresh noise: sigmaDown^2 + sigmaUp^2 = sigmaNext^2.
 *
 * `sigmaUp * sqrt(alphaCumprodNext)` is the sigma_t(eta) of arXiv:2010.02502, equation 16.
 */
export function ancestralSigmas(sigma: number, sigmaNext: number, eta: number): { sigmaDown: number; sigmaUp: number } {
  const ratio = sigmaNext / sigma;
  const sigmaUp = eta * sigmaNext * Math.sqrt(1 - ratio ** 2);
  // Not as the root of sigmaNext^2 - sigmaUp^2, which has no digits left in a long step, where the two are nearly one.
  const sigmaDown = sigmaNext * Math.sqrt((1 - eta) * (1 + eta) + (eta * ratio) ** 2);
  return { sigmaDown, sigmaUp };
}
