// Bundles scripts and styles: node build.mjs SOURCE INTO
//
//   src/entries/NAME.ts ─────────────────────> NAME-HASH.js, and chunks that several of them share
//   SOURCE/styles/base.css, pages/*.css ─────> style-HASH.css
//   SOURCE/*.svg ────────────────────────────> NAME-HASH.svg
//   what of other people is in them ─────────> licenses.txt
//
// manifest.json names each by its name without the hash.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const [source, into] = process.argv.slice(2).map((path) => resolve(path));
process.chdir(here);

const list = (folder, ending) =>
  existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(ending)).sort() : [];

const common = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  metafile: true,
  legalComments: "none", // they are in licenses.txt
  outdir: into,
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  assetNames: "[name]-[hash]",
  target: ["es2022", "chrome123", "firefox121", "safari17.5"], // the first that know light-dark()
  logLevel: "warning",
};

function bundleScripts() {
  const entries = list(join(here, "src/entries"), ".ts");
  return build({
    ...common,
    entryPoints: entries.map((name) => join("src/entries", name)),
    format: "esm",
    splitting: true,
  });
}

function bundleStyles() {
  const styles = join(source, "styles");
  const sheets = [
    ...list(styles, "base.css"),
    ...list(join(styles, "pages"), ".css").map((name) => `pages/${name}`),
  ];
  if (sheets.length === 0) return undefined;
  const contents = sheets.map((name) => `@import "./${name}";`).join("\n");
  return build({
    ...common,
    stdin: { contents, loader: "css", resolveDir: styles, sourcefile: "style.css" },
    entryNames: "style-[hash]",
    nodePaths: [join(here, "node_modules")], // styles of packages may be imported
    loader: { ".svg": "dataurl" },
  });
}

function copyImages(manifest) {
  for (const name of list(source, ".svg")) {
    const content = readFileSync(join(source, name));
    const hash = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
    manifest[name] = `${basename(name, ".svg")}-${hash}.svg`;
    writeFileSync(join(into, manifest[name]), content);
  }
}

/** Folders of packages whose files are in an output. */
function packagesOf(metafile) {
  const folders = Object.values(metafile.outputs)
    .flatMap((output) => Object.entries(output.inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => /^(?:.*\/)?node_modules\/(@[^/]+\/[^/]+|[^/]+)\//.exec(path)?.[1]);
  return folders.filter((name) => name !== undefined);
}

function writeLicenses(names) {
  const parts = names.map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (file === undefined) throw new Error(`${name} brings no licence`);
    const text = readFileSync(join(folder, file), "utf8").trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  writeFileSync(join(into, "licenses.txt"), parts.join(`\n${"-".repeat(72)}\n\n`));
}

const [scripts, styles] = await Promise.all([bundleScripts(), bundleStyles()]);
const manifest = { "licenses.txt": "licenses.txt" };
for (const [path, output] of Object.entries(scripts.metafile.outputs)) {
  if (output.cssBundle) throw new Error(`${path}: styles are imported by styles/pages/*.css`);
  if (output.entryPoint) manifest[`${basename(output.entryPoint, ".ts")}.js`] = basename(path);
}
for (const [path, output] of Object.entries(styles?.metafile.outputs ?? {})) {
  if (output.entryPoint) manifest["style.css"] = basename(path);
}
copyImages(manifest);
const used = [scripts, styles].flatMap((made) => (made ? packagesOf(made.metafile) : []));
writeLicenses([...new Set(used)].sort());
const sorted = Object.fromEntries(Object.entries(manifest).sort());
writeFileSync(join(into, "manifest.json"), JSON.stringify(sorted, null, 1) + "\n");
