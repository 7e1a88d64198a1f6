/** stompit comes without types; the tests state the part they use themselves. */
declare module "stompit" {
  const stompit: { connect(options: object, callback: (error: never, client: never) => void): void };
  export default stompit;
}
