const data = JSON.parse(byId("data").textContent);
const moments = (count) => `${count.toLocaleString("en")} ${count === 1 ? "moment" : "moments"}`;

// A moment: its still, where and when it is, why it was found; a link where there is a page of the video.
function card(hit) {
  const still = element("div", "still");
  if (hit.jpeg) {
    const picture = element("img");
    picture.alt = "";
    picture.loading = "lazy";
    picture.src = `data:image/jpeg;base64,${hit.jpeg}`;
    still.append(picture);
  } else still.append(element("span", "", "no picture"));
  still.append(element("span", "when", clock(hit.seconds, 1)));
  const says = element("div", "says", element("bdi", "video", hit.video), element("bdi", "why", hit.why));
  if (hit.score !== null) says.append(element("p", "", `cosine ${hit.score.toFixed(3)}`));
  const made = element(hit.page === null ? "div" : "a", "hit", still, says);
  if (hit.page !== null) made.href = `${data.site}/film.html?v=${hit.page}#t=${hit.seconds}`;
  return element("li", "", made);
}

for (const { query, hits, count } of data.queries) {
  const all = hits.length < count ? `, the first ${hits.length.toLocaleString("en")} shown` : "";
  const heading = element("h2", "", element("bdi", "", query), count ? ` · ${moments(count)}${all}` : " · nothing found");
  byId("queries").append(element("section", "", heading, element("ol", "plain hits", ...hits.map(card))));
}
byId("about").textContent = moments(data.queries.reduce((sum, { count }) => sum + count, 0));
if (data.site !== null) {
  byId("site").href = `${data.site}/index.html`;
  byId("site").hidden = false;
}
onTheme(() => {});
