/** What a source remembers in the pipeline's state, and each of its resources; made when it is looked at. */

import type { PipelineState } from "../interop/state.ts";

type Dictionary = Record<string, unknown>;

export class SourceState {
  private readonly state: PipelineState;
  private readonly name: string;

  constructor(state: PipelineState, name: string) {
    this.state = state;
    this.name = name;
  }

  /** Shared by the resources of the source. */
  shared(): Dictionary {
    this.state.sources ??= {};
    this.state.sources[this.name] ??= {};
    return this.state.sources[this.name]!;
  }

  ofResource(resource: string): Dictionary {
    const all = this.resources();
    all[resource] ??= {};
    return all[resource]!;
  }

  /** The resource's cursors by path. */
  cursorsOf(resource: string): Dictionary {
    const own = this.ofResource(resource);
    own.incremental ??= {};
    return own.incremental as Dictionary;
  }

  forget(resource: string): void {
    if (this.shared().resources) delete this.resources()[resource];
  }

  private resources(): Record<string, Dictionary> {
    const own = this.shared();
    own.resources ??= {};
    return own.resources as Record<string, Dictionary>;
  }
}
