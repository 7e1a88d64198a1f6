// Runs the conformance suite, and the cases in test/sanitize, on a native engine built with AddressSanitizer and
// UndefinedBehaviorSanitizer. Arguments name other tests: npm run test:sanitize -- conformance/closing
import { runVariant, sanitizerEnvironment } from "./test_variant.mjs";

const filters = process.argv.slice(2);
runVariant("--sanitize", filters.length > 0 ? filters : ["conformance/", "sanitize/"], sanitizerEnvironment());
