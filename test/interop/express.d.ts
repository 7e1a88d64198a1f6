/** These come without types; the tests state the part they use themselves. */
declare module "express" {
  const express: () => never;
  export default express;
}
declare module "express-session" {
  const session: (options: object) => never;
  export default session;
}
declare module "cookie-session" {
  const session: (options: object) => never;
  export default session;
}
