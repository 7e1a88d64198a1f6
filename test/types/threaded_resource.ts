import { ThreadedResource } from "eventmachine";

/**
 * What the compiler must see about the calls of a ThreadedResource: method, arguments and result are those of the class.
 * Nothing here runs; each expected error that does not come is an error itself.
 */

class Accounts {
  readonly bank = "here";

  balance(name: string, cents = true): number {
    return name.length + Number(cents);
  }

  async names(): Promise<string[]> {
    return [];
  }
}

const accounts = new ThreadedResource<Accounts>(new URL("file:///accounts.js"));

export async function check(): Promise<void> {
  const balance: number = await accounts.dispatch("balance", "Ann");
  const names: string[] = await accounts.dispatch("names");
  accounts.dispatch("balance", "Ann", false).callback((value) => value.toFixed(balance + names.length));
  // @ts-expect-error: a number is no name
  accounts.dispatch("balance", 1);
  // @ts-expect-error: the name is missing
  accounts.dispatch("balance");
  // @ts-expect-error: there is no such method
  accounts.dispatch("balances", "Ann");
  // @ts-expect-error: that is no method
  accounts.dispatch("bank");
  // @ts-expect-error: the names are texts
  accounts.dispatch("names").callback((value: number[]) => value);
}
