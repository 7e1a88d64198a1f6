import { terminateInside } from "./terminate_inside.js";

terminateInside("tls", "a native call on TLS");
