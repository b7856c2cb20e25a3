// How a person brings a token to the page.
import { says } from "./page.mjs";

/** The daemon takes a token for this much longer than it says. */
export const LEEWAY_S = 30;

export const dialogOf = (page, name) => page.getByRole("dialog", name ? { name } : {});

export async function give(page, token) {
  await page.getByLabel("token", { exact: false }).and(page.locator("input")).first().fill(token);
  await page.getByRole("button", { name: "use it" }).click();
}

/** Gives a token that is taken; the dialog goes by itself. */
export async function enter(page, token) {
  await give(page, token);
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await says(page, "live");
}
