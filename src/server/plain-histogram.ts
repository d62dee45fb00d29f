import { Histogram } from 'prom-client'

/** Counts observations of one set of labels in plain numbers; cheap enough for every request. */
export class Distribution {
  readonly labels: Readonly<Record<string, string>>
  readonly bounds: readonly number[]
  /** One slot per bound, and one for what lies above them all. */
  readonly slots: Float64Array
  sum: number

  constructor(labels: Readonly<Record<string, string>>, bounds: readonly number[]) {
    this.labels = labels
    this.bounds = bounds
    this.slots = new Float64Array(bounds.length + 1)
    this.sum = 0
  }

  observe(value: number): void {
    const { bounds, slots } = this
    let slot = 0
    while (slot < bounds.length && value > (bounds[slot] ?? 0)) slot++
    slots[slot] = (slots[slot] ?? 0) + 1
    this.sum += value
  }
}

interface HistogramOptions {
  readonly name: string
  readonly help: string
  readonly labelNames: readonly string[]
  /** Upper bounds, ascending. */
  readonly buckets: readonly number[]
}

interface Sample {
  readonly labels: Readonly<Record<string, string | number>>
  /** The labels of the whole distribution. */
  readonly sharedLabels: Readonly<Record<string, string>>
  readonly value: number
  readonly metricName: string
}

/**
 * A histogram whose observations cost an addition. The library's own hashes its labels at each observation,
 * which was measured at a tenth of a whole request; here each set of labels is bound once, and the library
 * only writes the exposition.
 */
export class PlainHistogram extends Histogram {
  readonly title: string
  readonly description: string
  readonly bounds: readonly number[]
  readonly distributions: Distribution[]

  constructor(options: HistogramOptions) {
    super({ ...options, labelNames: [...options.labelNames], buckets: [...options.buckets], registers: [] })
    this.title = options.name
    this.description = options.help
    this.bounds = options.buckets
    this.distributions = []
  }

  /** The distribution of these labels; bind it once, where the labels become known. */
  bind(labels: Readonly<Record<string, string>>): Distribution {
    const distribution = new Distribution(labels, this.bounds)
    this.distributions.push(distribution)
    return distribution
  }

  /** What the registry asks for when it writes the exposition; `get` makes its objects of the same. */
  async getForPromString(): Promise<{ name: string; help: string; type: string; values: Sample[] }> {
    return { name: this.title, help: this.description, type: 'histogram', values: this.samples() }
  }

  samples(): Sample[] {
    const samples: Sample[] = []
    for (const { labels, slots, sum } of this.distributions) {
      const total = slots.reduce((all, slot) => all + slot, 0)
      // A series nobody has ever fed would only cost the scraper.
      if (total === 0 && Object.keys(labels).length > 0) continue
      const add = (metricName: string, value: number, own: Sample['labels'] = {}): void => {
        samples.push({ labels: own, sharedLabels: labels, value, metricName })
      }
      let below = 0
      for (const [index, bound] of this.bounds.entries()) {
        below += slots[index] ?? 0
        add(`${this.title}_bucket`, below, { le: bound })
      }
      add(`${this.title}_bucket`, total, { le: '+Inf' })
      add(`${this.title}_sum`, sum)
      add(`${this.title}_count`, total)
    }
    return samples
  }
}
