/** Fails the run of a reactor on purpose and returns what it rejected with. */
export async function rejection(running: Promise<unknown>): Promise<unknown> {
  try {
    await running;
  } catch (error) {
    return error;
  }
  throw new Error("run did not reject");
}

export const thrower = (error: unknown) => () => {
  throw error;
};
