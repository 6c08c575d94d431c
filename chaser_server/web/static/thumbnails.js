/** Small live pictures of the sessions whose rows can be seen: one request at a time, and only what has changed. */
import { poll, send } from "./api.js";

const EVERY_SECONDS = 3;

export function watchThumbnails() {
  const pictures = new Map(); // img -> {id, seen, etag}
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const picture = pictures.get(target.querySelector("img"));
      if (picture) picture.seen = isIntersecting;
      if (picture?.etag === "" && isIntersecting) refreshAll(); // its first one is not waited for
    }
  });
  const refreshAll = poll(() => EVERY_SECONDS, async () => {
    for (const [image, picture] of pictures) {
      if (picture.seen && !document.hidden) await refresh(image, picture);
    }
  });
  return {
    /** Keep the picture in `image` fresh. Its parent says whether it is seen, as it has a size from the start. */
    add(image, id) {
      pictures.set(image, { id, seen: false, etag: "" });
      observer.observe(image.parentElement);
    },
    remove(image) {
      if (pictures.delete(image)) observer.unobserve(image.parentElement);
    },
  };
}

async function refresh(image, picture) {
  try {
    const headers = picture.etag ? { "If-None-Match": picture.etag } : {};
    const response = await send("GET", `/dashboard/data/sessions/${picture.id}/thumbnail`, { headers });
    if (response.status !== 200) return; // it is the same still, or there is nothing to see
    picture.etag = response.headers.get("ETag");
    const url = URL.createObjectURL(await response.blob());
    image.onload = () => URL.revokeObjectURL(url);
    image.src = url;
    image.hidden = false;
  } catch { /* it has ended or shows nothing yet; the table tells */ }
}
