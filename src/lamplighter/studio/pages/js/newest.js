// Work of which only the newest matters: answers to a picture that goes on changing.

/**
 * Return a function that has `work` done with what it is given, one at a time: what comes while it
 * works waits, and is replaced by what comes after it.
 *
 * @param {(value: any) => Promise<void>} work
 */
export function newest(work) {
  let busy = false;
  let waiting = null;
  const run = async (value) => {
    busy = true;
    try {
      await work(value);
    } finally {
      busy = false;
      const next = waiting;
      waiting = null;
      if (next) run(next.value);
    }
  };
  return (value) => {
    if (busy) waiting = { value };
    else run(value);
  };
}
