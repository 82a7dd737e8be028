/** The picture as a PNG, with what is written over it. */
async function savePicture(canvas, svg, draw) {
  const made = document.createElement("canvas");
  [made.width, made.height] = [canvas.width, canvas.height];
  const context = made.getContext("2d");
  draw(); // in the same breath: browsers forget what was drawn
  context.drawImage(canvas, 0, 0);
  const written = new Image();
  written.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
  await written.decode();
  context.drawImage(written, 0, 0, made.width, made.height);
  const blob = await new Promise((done) => made.toBlob(done, "image/png"));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "view.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
