import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { HOST, pickPorts, releasePorts } from '../../../stack/ports.js';
import { eventually } from '../../support/eventually.js';
import { DEPLOY_TOOLS } from './tools.js';

/** An alert that is pending or firing. */
export interface Alert {
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Target {
  readonly url: string;
  readonly labels: Readonly<Record<string, string>>;
}

interface Rule {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
}

/** A Prometheus of its own for a test, which looks at its targets and rules each second. It is killed when the test is over. */
export class Prometheus {
  readonly #url: string;

  private constructor(port: number) {
    this.#url = `http://${HOST}:${port}`;
  }

  /** @param rules a file of rules, as text */
  static async start(targets: readonly Target[], rules: string): Promise<Prometheus> {
    const directory = await mkdtemp(join(tmpdir(), 'ktb-prometheus-'));
    const [port = 0] = await pickPorts(1);
    await writeFile(join(directory, 'rules.yaml'), rules);
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yaml'],
      scrape_configs: [
        {
          job_name: 'ktb',
          static_configs: targets.map(({ url, labels }) => ({ targets: [new URL(url).host], labels })),
        },
      ],
    };
    await writeFile(join(directory, 'prometheus.yml'), stringify(config));
    const args = [
      `--config.file=${join(directory, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${HOST}:${port}`,
    ];
    const process = spawn(DEPLOY_TOOLS.prometheus, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = new Promise((resolve) => process.once('close', resolve));
    let log = '';
    process.stderr.on('data', (text: Buffer) => (log = (log + text.toString()).slice(-10_000)));
    onTestFinished(async () => {
      process.kill('SIGKILL');
      await ended;
      releasePorts([port]);
      await rm(directory, { recursive: true, force: true });
    });
    const prometheus = new Prometheus(port);
    await eventually(async () => {
      if (process.exitCode !== null) throw new Error(`Prometheus has ended:\n${log}`);
      if (!(await fetch(`${prometheus.#url}/-/ready`)).ok) throw new Error(`Prometheus is not ready:\n${log}`);
    });
    return prometheus;
  }

  async alerts(): Promise<readonly Alert[]> {
    return (await this.#ask<{ alerts: Alert[] }>('alerts')).alerts;
  }

  /** Targets that were scraped without an error. */
  async targetsUp(): Promise<number> {
    const { activeTargets } = await this.#ask<{ activeTargets: { health: string }[] }>('targets');
    return activeTargets.filter(({ health }) => health === 'up').length;
  }

  async rules(): Promise<readonly Rule[]> {
    return (await this.#ask<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap(({ rules }) => rules);
  }

  async #ask<Data>(what: string): Promise<Data> {
    const response = await fetch(`${this.#url}/api/v1/${what}`);
    return ((await response.json()) as { data: Data }).data;
  }
}
