export { HttpProtocolError } from "./base/errors.js";
export type { Http1Fields as HttpFields } from "./codecs/http1/head.js";
export { HttpConnection } from "./http/http_connection.js";
export type { HttpOptions } from "./http/http_options.js";
export type { HttpRequest } from "./http/http_request.js";
export type { HttpResponse } from "./http/http_response.js";
export type { ResponseFields } from "./http/response_fields.js";
