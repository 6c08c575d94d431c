// A session's whole life with a client of Playwright's kind: node drive_playwright.mjs playwright-core|patchright
import { createSession, deleteSession, endedReason, isPng, screenshot } from "./api.mjs";

const { chromium } = (await import(process.argv[2])).default;
const session = await createSession();

let browser = await chromium.connectOverCDP(session.cdp_url);
const page = browser.contexts()[0].pages()[0];
await page.goto(process.env.SITE_URL);
const title = await page.title();
const picture = await page.screenshot();
await browser.close(); // disconnects: a connected browser is not ours to end

browser = await chromium.connectOverCDP(session.cdp_url);
const again = browser.contexts()[0].pages()[0];
const seen = {
  status: session.status,
  title,
  clientScreenshotIsPng: isPng(picture),
  apiScreenshotIsPng: isPng(await screenshot(session.id)),
  urlAgain: again.url(),
  titleAgain: await again.title(),
};
await browser.close();
seen.deleted = await deleteSession(session.id);
seen.endedReason = await endedReason(session.id);
console.log(JSON.stringify(seen));
