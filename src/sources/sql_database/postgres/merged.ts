/** Several streams as one, in whatever order their items come. */
export async function* merged<T>(streams: readonly AsyncGenerator<T>[]): AsyncGenerator<T> {
  const next = (index: number) => streams[index]!.next().then((result) => ({ index, result }));
  const waiting = new Map(streams.map((_, index) => [index, next(index)]));
  try {
    while (waiting.size > 0) {
      const { index, result } = await Promise.race(waiting.values());
      if (result.done) {
        waiting.delete(index);
      } else {
        waiting.set(index, next(index));
        yield result.value;
      }
    }
  } finally {
    // the others have a read on its way; what becomes of it is of no interest
    for (const pending of waiting.values()) pending.catch(() => {});
    await Promise.allSettled(streams.map((stream) => stream.return(undefined)));
  }
}
