import { useCallback, useEffect, useState } from "react";
import * as api from "./api.js";

const LOOK_EVERY = 1000;
const SHOWN = 8;
// As a browser's own field for e-mails judges: something, an @, something.
const EMAIL = /^[^\s@]+@[^\s@]+$/;

// Calls now and then, again after an error: the warehouse is busy while dbt runs.
function useRepeated(call) {
  useEffect(() => {
    let alive = true;
    let timer;
    const look = async () => {
      await call().catch(() => {});
      if (alive) timer = setTimeout(look, LOOK_EVERY);
    };
    look();
    return () => {
      alive = false;
      clearTimeout(timer);
    };
  }, [call]);
}

export function Shop() {
  const [settings, setSettings] = useState(null);
  const [products, setProducts] = useState(null);
  const [email, setEmail] = useState("");
  const [purchases, setPurchases] = useState([]);

  useEffect(() => {
    api.products().then(setProducts, () => setProducts([]));
    api.settings().then((found) => {
      setSettings(found);
      setEmail((typed) => typed || found.customer || "");
    });
  }, []);

  const change = (id, status) =>
    setPurchases((all) => all.map((one) => (one.id === id ? { ...one, ...status } : one)));

  const buy = async (product) => {
    const event = api.purchase(email, product.product_id, 1);
    const id = event.event_id;
    setPurchases((all) => [{ id, name: product.name, status: "sending" }, ...all].slice(0, SHOWN));
    try {
      const via = await api.send(settings, event);
      change(id, { status: via === "kafka" ? "on its way" : "waiting for Kafka" });
    } catch (error) {
      change(id, { status: "failed", detail: error.message });
    }
  };

  const open = purchases.filter(({ status }) => status === "on its way" || status === "waiting for Kafka");
  const look = useCallback(
    () =>
      Promise.all(
        open.map(async ({ id }) => {
          if ((await api.rows(id)) > 0) change(id, { status: "in the warehouse" });
        }),
      ),
    [open.map(({ id }) => id).join()],
  );
  useRepeated(look);

  const isEmail = EMAIL.test(email);
  return (
    <main>
      <header>
        <h1>Shop</h1>
        <label>
          You are
          <input id="email" type="email" value={email} onChange={(event) => setEmail(event.target.value.trim())} />
        </label>
        {isEmail || !email ? <Total email={email} /> : <p id="refusal">That is no e-mail.</p>}
      </header>
      <Shelf products={products} buy={buy} closed={!settings || !isEmail} />
      <Purchases purchases={purchases} />
    </main>
  );
}

function Total({ email }) {
  const [line, setLine] = useState(null);
  const look = useCallback(async () => setLine(email ? await api.customer(email) : null), [email]);
  useRepeated(look);
  if (!line) return <p id="total">No purchases in the report yet.</p>;
  return (
    <p id="total" data-usd={line.total_usd} data-transactions={line.transactions}>
      In the report: {line.transactions} purchases, ${line.total_usd}
    </p>
  );
}

function Shelf({ products, buy, closed }) {
  if (!products) return <p>Looking at the shelf…</p>;
  if (!products.length) return <p>The shelf is empty.</p>;
  return (
    <ul id="shelf">
      {products.map((product) => (
        <li key={product.product_id} data-product={product.product_id} data-price={product.price_usd}>
          <span>{product.name}</span>
          <strong>${Number(product.price_usd).toFixed(2)}</strong>
          <button type="button" disabled={closed} onClick={() => buy(product)}>
            Buy
          </button>
        </li>
      ))}
    </ul>
  );
}

function Purchases({ purchases }) {
  return (
    <section>
      <h2>Your last purchases</h2>
      <ol id="purchases">
        {purchases.map(({ id, name, status, detail }) => (
          <li key={id} data-id={id} data-status={status}>
            <span>{name}</span>
            <code>{id}</code>
            <em>{detail ? `${status}: ${detail}` : status}</em>
          </li>
        ))}
      </ol>
      {!purchases.length && <p>Nothing yet.</p>}
    </section>
  );
}
