// A camera: frames to the server, boxes over the picture.
import { chosen, counts, drawFaces, hideFaces } from "./results.js";

const at = (id) => document.getElementById(id);
// Frames are sent no larger than this; the networks see no more of them.
const LONGEST = 640;
const QUALITY = 0.85;
// So many frames may be under way: one that is looked at, one that is sent meanwhile.
const AHEAD = 2;

export class Camera {
  constructor(settings, key) {
    this.settings = settings;
    this.key = key;
    this.frame = document.createElement("canvas");
  }

  async start() {
    if (this.stream) return;
    at("camera").hidden = false;
    this.say("Waiting for the camera …");
    try {
      if (!navigator.mediaDevices) throw new Error("browsers give cameras only to https:// pages and to this machine's own");
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } });
    } catch (error) {
      this.say(`There is no camera to use: ${error.message}`, true);
      return;
    }
    const video = at("video");
    video.srcObject = this.stream;
    await video.play();
    at("camera-stop").focus();
    this.connect();
  }

  connect() {
    const address = new URL("/v1/live", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("min_confidence", this.settings.confidence);
    if (this.key()) address.searchParams.set("key", this.key());
    Object.assign(this, { sent: new Map(), number: 0, times: [], socket: new WebSocket(address) });
    this.socket.addEventListener("open", () => this.send());
    this.socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    this.socket.addEventListener("close", () => {
      if (this.stream) {
        this.stop();
        at("camera").hidden = false;
        this.say("The server ended the connection; start the camera again.", true);
      }
    });
  }

  /** Sends the camera's picture, if few are under way. */
  send() {
    const video = at("video");
    if (!this.stream || this.socket.readyState !== WebSocket.OPEN || this.sent.size >= AHEAD) return;
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
    this.frame.width = Math.round(video.videoWidth * scale);
    this.frame.height = Math.round(video.videoHeight * scale);
    this.frame.getContext("2d").drawImage(video, 0, 0, this.frame.width, this.frame.height);
    const taken = performance.now();
    const number = this.number++;
    this.sent.set(number, taken);
    this.frame.toBlob((blob) => {
      if (this.socket.readyState === WebSocket.OPEN) this.socket.send(blob);
      // The next one as soon as there is room for it.
      requestAnimationFrame(() => this.send());
    }, "image/jpeg", QUALITY);
  }

  take(record) {
    const taken = this.sent.get(record.frame);
    // Older ones were dropped on the way.
    for (const number of this.sent.keys()) if (number <= record.frame) this.sent.delete(number);
    if (record.error) {
      this.say(record.error, true);
    } else {
      this.draw(record);
      const now = performance.now();
      this.times = [...this.times.filter((time) => now - time < 2000), now];
      this.say(`${(this.times.length / 2).toFixed(0)} pictures a second, ${Math.round(now - taken)} ms behind`);
    }
    this.send();
  }

  draw(record) {
    const overlay = at("overlay");
    const faces = chosen(record.faces, this.settings);
    overlay.width = at("video").videoWidth;
    overlay.height = at("video").videoHeight;
    const context = overlay.getContext("2d");
    context.scale(overlay.width / record.width, overlay.height / record.height);
    if (this.settings.hide) {
      context.drawImage(at("video"), 0, 0, record.width, record.height);
      hideFaces(context, record.faces, record.width, record.height);
    }
    drawFaces(context, faces, record.width, record.height);
    const text = counts(faces);
    at("camera-counts").textContent = text;
    overlay.setAttribute("aria-label", `The camera's picture: ${text}`);
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = undefined;
    this.socket?.close();
    at("video").srcObject = null;
    at("overlay").getContext("2d").reset();
    at("camera-counts").textContent = "";
    at("camera").hidden = true;
    at("camera-start").focus();
  }

  say(text, wrong = false) {
    at("camera-state").textContent = text;
    at("camera-state").classList.toggle("wrong", wrong);
  }
}
