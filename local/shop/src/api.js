// The two servers that the page talks to: the shop's own, and collect-events on another origin.

async function get(path) {
  const response = await fetch(path);
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

export const settings = () => get("/api/settings");
export const products = () => get("/api/products");
export const customer = (email) => get(`/api/customers/${encodeURIComponent(email)}`);
export const rows = async (id) => (await get(`/api/purchases/${id}`)).rows;

// The event's id is made here, so that sending it again after a lost answer is the same purchase.
export function purchase(email, productId, quantity) {
  return {
    event_id: crypto.randomUUID(),
    customer_email: email,
    product_id: productId,
    quantity,
    purchase_ts: new Date().toISOString(),
    schema_version: 1,
  };
}

const ATTEMPTS = 4;

export async function send({ events_url, api_key }, event) {
  for (let attempt = 1; ; attempt += 1) {
    const last = attempt === ATTEMPTS;
    let wait = attempt;
    try {
      const response = await fetch(`${events_url}/v1/events/purchases`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-api-key": api_key },
        body: JSON.stringify(event),
      });
      if (response.ok) return (await response.json()).via;
      const problem = await response.json();
      const told = problem.rejected?.[0]?.errors.map((error) => `${error.pointer.slice(1)} ${error.detail}`);
      if (last || (response.status !== 429 && response.status !== 503)) {
        return Promise.reject(new Error(told?.join("; ") ?? problem.detail));
      }
      wait = Number(response.headers.get("retry-after")) || attempt;
    } catch (error) {
      if (last) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}
