// Drives headless Chromium through its debugging pipe, without packages of npm.
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";

const KEYS = { Tab: 9, Enter: 13, Escape: 27, Space: 32, ArrowLeft: 37, ArrowRight: 39, ArrowDown: 40 };

export async function open(program, profile) {
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe", `--user-data-dir=${profile}`];
  const child = spawn(program, [...flags, "about:blank"], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
  const [, , , to, from] = child.stdio;
  const waiting = new Map(), problems = [];
  let last = 0, text = "";
  from.setEncoding("utf8");
  from.on("data", data => {
    const messages = (text + data).split("\0");
    text = messages.pop();
    for (const message of messages.map(m => JSON.parse(m))) {
      const { id, method, params, result, error } = message;
      if (method === "Runtime.exceptionThrown") problems.push(params.exceptionDetails.exception?.description || params.exceptionDetails.text);
      if (method === "Log.entryAdded" && params.entry.level === "error") problems.push(`${params.entry.text} ${params.entry.url || ""}`);
      if (!waiting.has(id)) continue;
      const [resolve, reject] = waiting.get(id);
      waiting.delete(id);
      if (error) reject(new Error(error.message)); else resolve(result);
    }
  });
  let sessionId;
  const send = (method, params) => new Promise((resolve, reject) => {
    waiting.set(++last, [resolve, reject]);
    to.write(JSON.stringify({ id: last, method, params, sessionId }) + "\0");
  });
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  ({ sessionId } = await send("Target.attachToTarget", { targetId, flatten: true }));
  for (const domain of ["Page", "Runtime", "Log", "DOM", "Accessibility"]) await send(`${domain}.enable`);

  const page = {
    problems,
    send,
    goto: url => send("Page.navigate", { url }),
    async evaluate(expression) {
      const { result, exceptionDetails } = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description || exceptionDetails.text);
      return result.value;
    },
    async until(what, expression) {
      for (const end = Date.now() + 30000; Date.now() < end; await new Promise(r => setTimeout(r, 50))) {
        if (await page.evaluate(expression)) return;
      }
      throw new Error(`never: ${what}; the page says: ${await page.evaluate("document.body.innerText.slice(0, 2000)")}`);
    },
    async press(key, shift) {
      const of = { key: key === "Space" ? " " : key, code: key, windowsVirtualKeyCode: KEYS[key], modifiers: shift ? 8 : 0 };
      const characters = { Enter: "\r", Space: " " };
      await send("Input.dispatchKeyEvent", { type: "keyDown", text: characters[key], ...of });
      await send("Input.dispatchKeyEvent", { type: "keyUp", ...of });
    },
    type: text => send("Input.insertText", { text }),
    async attach(selector, files) {
      const { root } = await send("DOM.getDocument");
      const { nodeId } = await send("DOM.querySelector", { nodeId: root.nodeId, selector });
      await send("DOM.setFileInputFiles", { nodeId, files });
    },
    async window(width, height, dark) {
      await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
      await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
    },
    async screenshot(file) {
      const { data } = await send("Page.captureScreenshot", { format: "png" });
      writeFileSync(file, Buffer.from(data, "base64"));
    },
    close: () => new Promise(resolve => { child.on("exit", resolve); child.kill(); }),
  };
  return page;
}
