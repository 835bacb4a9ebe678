/* Workers for pages that are opened as files. A browser starts none there, and the search of this site needs one: a hidden frame
   runs the worker's script instead, and hands messages on. */
(function () {
  "use strict";
  if (location.protocol !== "file:") {
    return;
  }

  function loaded(page, address) {
    return new Promise((done, failed) => {
      const script = page.createElement("script");
      script.onload = done;
      script.onerror = () => failed(new Error(`cannot load ${address}`));
      script.src = address;
      page.head.append(script);
    });
  }

  class FrameWorker extends EventTarget {
    constructor(address) {
      super();
      this.onmessage = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html><title>worker</title>";
      this.running = new Promise((done) => {
        this.frame.onload = done;
      }).then(() => this.begin(String(address)));
      document.body.append(this.frame);
    }

    begin(address) {
      const inside = this.frame.contentWindow;
      inside.postMessage = (data) => this.answer(data);
      inside.importScripts = (...addresses) =>
        addresses.reduce((before, each) => before.then(() => loaded(inside.document, each)), Promise.resolve());
      return loaded(inside.document, address);
    }

    answer(data) {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) {
        this.onmessage(event);
      }
    }

    postMessage(data) {
      this.running.then(() => {
        const inside = this.frame.contentWindow;
        inside.dispatchEvent(new inside.MessageEvent("message", { data: structuredClone(data) }));
      });
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.Worker = FrameWorker;
  window.IFrameWorker = FrameWorker; // the script looks for this name, to learn that it runs in a frame
})();
