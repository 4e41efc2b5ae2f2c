// Subscribes with salesforce-pubsub-api-client and prints each decoded change as one JSON line.
// The client brings its own list of authorities and takes no other, so trust in the sandbox's
// certificate is given by the client's own setting.
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
const print = (value) =>
    process.stdout.write(
        JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? each.toString() : each)) + '\n'
    );

await client.connect();
const count = Number(settings.count);
let seen = 0;
const finish = () => {
    client.close();
    process.exit(0);
};
const take = (subscription, type, content) => {
    if (type === 'event') {
        print({ topic: subscription.topicName, replayId: content.replayId, payload: content.payload });
        seen += 1;
        if (seen === count) {
            finish();
        }
    } else if (type === 'error') {
        console.error(content);
        process.exit(1);
    }
};
for (const topic of settings.topics) {
    if (settings.replay_id) {
        client.subscribeFromReplayId(topic, take, null, Number(settings.replay_id));
    } else if (settings.earliest) {
        client.subscribeFromEarliestEvent(topic, take);
    } else {
        client.subscribe(topic, take);
    }
}
print({ ready: true });
