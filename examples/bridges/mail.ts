// Mail on connections of the reactor: smtp-server takes it, nodemailer sends it.
//   node .build/examples/bridges/mail.js
import { Connection, connect, run, startServer, stop, toDuplex } from "eventmachine";
import nodemailer from "nodemailer";
import { SMTPServer } from "smtp-server";

const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS"],
  disableReverseLookup: true,
  onData(stream, session, callback) {
    console.log(`mail for ${session.envelope.rcptTo.map(({ address }) => address).join()}`);
    stream.resume().on("end", () => callback());
  },
});

class Smtp extends Connection {
  override postInit(): void {
    smtp.server.emit("connection", toDuplex(this));
  }
}

await run(async () => {
  const { port } = await startServer({ host: "127.0.0.1", port: 0 }, Smtp);
  const options = {
    getSocket(_options: unknown, callback: (error: Error | null, socket?: object) => void): void {
      const connection = toDuplex(connect({ host: "127.0.0.1", port }));
      connection.once("connect", () => callback(null, { connection }));
      connection.once("error", callback);
    },
  };
  const mailer = nodemailer.createTransport(options as Parameters<typeof nodemailer.createTransport>[0]);
  await mailer.sendMail({ from: "a@example.com", to: "b@example.com", subject: "hello", text: "hello" });
  mailer.close();
  stop();
});
