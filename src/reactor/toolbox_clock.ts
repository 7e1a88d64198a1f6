import { setDefaultClock } from "../toolbox/default_clock.js";
import { reactor } from "./default_reactor.js";

// Who names no clock lives in the current reactor's time.
setDefaultClock(reactor);
