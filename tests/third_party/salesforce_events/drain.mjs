// Decodes a number of events with salesforce-pubsub-api-client as fast as it can and prints how long
// that took, from the subscription to the last event, as one JSON line. Nothing is stored.
import PubSubApiClient from 'salesforce-pubsub-api-client';

const settings = JSON.parse(process.env.SANDBOX);
const quiet = () => {};
const client = new PubSubApiClient(
    {
        authType: 'oauth-client-credentials',
        loginUrl: settings.url,
        clientId: settings.client_id,
        clientSecret: settings.client_secret,
        pubSubEndpoint: settings.pubsub_endpoint,
        rejectUnauthorizedSsl: false
    },
    { debug: quiet, info: quiet, warn: console.error, error: console.error }
);
await client.connect();
let seen = 0;
const begun = performance.now();
client.subscribeFromReplayId(
    settings.topic,
    (subscription, type, content) => {
        if (type === 'event') {
            seen += content.payload.ChangeEventHeader.recordIds.length > 0 ? 1 : 0;
            if (seen === settings.count) {
                const seconds = (performance.now() - begun) / 1000;
                process.stdout.write(JSON.stringify({ events: seen, seconds }) + '\n');
                client.close();
                process.exit(0);
            }
        } else if (type === 'error') {
            console.error(content);
            process.exit(1);
        }
    },
    null,
    settings.replay_number
);
