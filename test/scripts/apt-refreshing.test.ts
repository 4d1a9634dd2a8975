/** Package lists that are missing or outdated are fetched anew, once. */
import { describe, expect, it, vi } from 'vitest';
import { Apt } from '../../scripts/provision/apt.js';

function apt(signal?: AbortSignal) {
  const said: string[] = [];
  const made = new Apt((line) => said.push(line), signal);
  const update = vi.spyOn(made, 'update').mockResolvedValue();
  return { made, said, update };
}

describe('what fails', () => {
  it('is done again with new lists, and the first failure is told', async () => {
    const { made, said, update } = apt();
    const attempt = vi.fn(() => Promise.resolve()).mockRejectedValueOnce(new Error('no such package'));
    await made.refreshing(attempt);
    expect([attempt.mock.calls.length, update.mock.calls.length]).toEqual([2, 1]);
    expect(said).toEqual(['fetching new package lists: no such package']);
  });

  it('a second time is the failure of the caller', async () => {
    const { made } = apt();
    const attempt = vi.fn().mockRejectedValueOnce(new Error('first')).mockRejectedValueOnce(new Error('second'));
    await expect(made.refreshing(attempt)).rejects.toThrow('second');
  });

  it('because it was aborted is not done again', async () => {
    const { made, update } = apt(AbortSignal.abort());
    const attempt = vi.fn().mockRejectedValue(new Error('aborted'));
    await expect(made.refreshing(attempt)).rejects.toThrow('aborted');
    expect([attempt.mock.calls.length, update.mock.calls.length]).toEqual([1, 0]);
  });
});

it('what succeeds leaves the lists as they are', async () => {
  const { made, update } = apt();
  await made.refreshing(() => Promise.resolve());
  expect(update).not.toHaveBeenCalled();
});
