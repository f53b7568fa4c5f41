// Runs a WebAssembly module with WASI in Node, as cargo's runner: node wasi.mjs MODULE ARGUMENT...
//
// Modules that were linked with Debian's C library lack threads: the functions for them are here, and
// say that there are none.
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const ENOSYS = 52;
const [file, ...rest] = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args: [file, ...rest], env: process.env });
const module = await WebAssembly.compile(await readFile(file));
const lacking = WebAssembly.Module.imports(module).filter(({ module }) => module === "env");
const answer = (name) => () => (name === "pthread_create" ? ENOSYS : 0);
const env = Object.fromEntries(lacking.map(({ name }) => [name, answer(name)]));
const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.wasiImport, env });
process.exitCode = wasi.start(instance);
