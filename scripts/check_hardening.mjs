// Reads from the built addon itself whether the compiler's and the linker's protections are in it.
//
//   node scripts/check_hardening.mjs [file]      default: build/Release/eventmachine.node
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const file = process.argv[2] ?? fileURLToPath(new URL("../build/Release/eventmachine.node", import.meta.url));

function read(command, ...args) {
  return execFileSync(command, [...args, file], { encoding: "utf8", maxBuffer: 256 * 1024 * 1024 });
}

const segments = read("readelf", "-lW");
const dynamic = read("readelf", "-dW");
const symbols = read("readelf", "--dyn-syms", "-W");
const code = read("objdump", "-d", "--no-show-raw-insn");

/** Frames larger than a page are grown a page at a time: something is or-ed into each. */
const PROBES = /or[ql]\s+\$0x0,(?:0x[0-9a-f]+)?\(%rsp\)/;
/** The first instruction of a function that may be jumped to. */
const LANDING = process.arch === "arm64" ? /\b(?:bti|paciasp)\b/g : /\bendbr64\b/g;
const isX64 = process.arch === "x64";
const notes = isX64 ? read("readelf", "-nW") : "";

/** Called past its table (native/tls/openssl.h) a function of OpenSSL's is one whose result nobody made us look at. */
const PAST_TABLE = /\bUND\s+(?:SSL|BIO|EVP|X509|ERR|PEM|RAND|OPENSSL|CRYPTO|OSSL|[di]2[di])_\w+/;

const wanted = [
  ["the table of addresses becomes read-only (-z relro)", /GNU_RELRO/.test(segments)],
  ["... all of it, for everything is bound at load (-z now)", /\bBIND_NOW\b|Flags:.*\bNOW\b/.test(dynamic)],
  ["no stack is executable", /GNU_STACK\s+(?:0x[0-9a-f]+\s+){5}RW\s/.test(segments)],
  ["no code is written to at load", !/TEXTREL/.test(dynamic)],
  ["functions guard their frames (-fstack-protector-strong)", /__stack_chk_fail/.test(symbols)],
  ["large frames meet the guard page (-fstack-clash-protection)", !isX64 || PROBES.test(code)],
  ["jumps land where they may (-fcf-protection)", (code.match(LANDING)?.length ?? 0) > 100],
  ["its returns may be checked against a shadow stack (-z shstk)", !isX64 || /x86 feature:.*\bSHSTK\b/.test(notes)],
  [
    "copies know the size of what they fill (_FORTIFY_SOURCE)",
    /__(?:snprintf|memcpy|explicit_bzero)_chk/.test(symbols),
  ],
  ["OpenSSL is called through the table of what was found in it", !PAST_TABLE.test(symbols)],
];
const missing = wanted.filter(([, holds]) => !holds).map(([what]) => what);
if (missing.length > 0) {
  console.error(`${file} was built without: ${missing.join("; ")}`);
  process.exit(1);
}
console.log(`${file}: ${wanted.length} protections are in it`);
