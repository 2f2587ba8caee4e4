// Starts bootstrap.mjs, or says that Node is too old for it: then it could not even be parsed. The npm scripts are this one
// command each: between two, the shell would end at Ctrl-C and leave a training run behind.
// Plain ES5, and a test keeps `range` the same as `engines` in every manifest.
var range = '^20.19.0 || >=22.12.0';

/** What to tell a user of this version of Node, or undefined when it will do. */
function nodeProblem(version) {
  var parts = version.split('.').map(Number);
  var major = parts[0];
  var minor = parts[1];
  if ((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22) return undefined;
  return (
    'expected Node 20.19 or newer of 20, or 22.12 or newer, received ' +
    version +
    '. Install a current Node (nodejs.org) and repeat.'
  );
}

module.exports = { range: range, nodeProblem: nodeProblem };

if (require.main === module) {
  var problem = nodeProblem(process.versions.node);
  if (problem) {
    console.error('sgdiff: ' + problem);
    process.exit(1);
  } else {
    require('./start.cjs');
  }
}
