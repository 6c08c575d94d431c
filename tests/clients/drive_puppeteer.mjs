// A session's whole life with Puppeteer: node drive_puppeteer.mjs puppeteer-core
import { createSession, deleteSession, endedReason, isPng, screenshot } from "./api.mjs";

const puppeteer = (await import(process.argv[2])).default;
const session = await createSession();

let browser = await puppeteer.connect({ browserWSEndpoint: session.cdp_url });
const [page] = await browser.pages();
await page.goto(process.env.SITE_URL);
const title = await page.title();
const picture = await page.screenshot();
await browser.disconnect(); // close() would end the browser, and with it the session

browser = await puppeteer.connect({ browserWSEndpoint: session.cdp_url });
const [again] = await browser.pages();
const seen = {
  status: session.status,
  title,
  clientScreenshotIsPng: isPng(picture),
  apiScreenshotIsPng: isPng(await screenshot(session.id)),
  urlAgain: again.url(),
  titleAgain: await again.title(),
};
await browser.disconnect();
seen.deleted = await deleteSession(session.id);
seen.endedReason = await endedReason(session.id);
console.log(JSON.stringify(seen));
